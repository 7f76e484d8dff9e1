// SHA-256 by the system's libcrypto.

import CCrypto

/// Incremental SHA-256 (FIPS 180-4).
public final class SHA256 {
  private let context: OpaquePointer

  /// An empty digest.
  public init() {
    guard let made = EVP_MD_CTX_new(), EVP_DigestInit_ex(made, EVP_sha256(), nil) == 1 else {
      preconditionFailure("libcrypto offers no SHA-256")
    }
    context = made
  }

  deinit { EVP_MD_CTX_free(context) }

  /// Adds bytes.
  public func update(_ bytes: RawSpan) {
    bytes.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress, bytes.count > 0 else { return }
      let isTaken = EVP_DigestUpdate(context, base, bytes.count) == 1
      precondition(isTaken, "libcrypto refused to digest \(bytes.count) bytes")
    }
  }

  /// Adds the elements' bytes as they lie in memory.
  public func update<Element>(_ values: [Element]) where Element: BitwiseCopyable { update(values.span.bytes) }

  /// Adds the text's UTF-8 bytes.
  public func update(_ text: String) { update(Array(text.utf8)) }

  /// The 32 bytes of the digest; the object must not be used afterwards.
  public func finish() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 32)
    precondition(EVP_DigestFinal_ex(context, &bytes, nil) == 1, "libcrypto could not finish a digest")
    return bytes
  }

  /// The digest in lower-case hexadecimal; the object must not be used afterwards.
  public func hexadecimal() -> String { SHA256.hexadecimal(finish()) }

  /// Bytes in lower-case hexadecimal.
  public static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef")
    return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }
}
