// The instruction-set level of all kernels. Bits depend on it, so ranks agree on one.

import CDNNL
import CKernels
import Support

/// Instruction-set levels of the vector kernels, lowest first.
public enum CPULevel: Int, Sendable, CaseIterable, CustomStringConvertible {
  /// Whatever every CPU of this architecture runs.
  case portable = 0
  /// AVX2 with fused multiply-add.
  case avx2 = 1
  /// AVX-512 F, VL, DQ and BW.
  case avx512 = 2

  /// The highest level this CPU runs.
  public static var supported: CPULevel { CPULevel(rawValue: Int(ck_supported_level())) ?? .portable }

  /// The level in use.
  public static var current: CPULevel { CPULevel(rawValue: Int(ck_level())) ?? .portable }

  /// Uses a level no higher than the supported one, in our kernels and in oneDNN. Call before the first matrix product:
  /// oneDNN keeps its first choice.
  /// - Returns: the level now in use.
  /// - Throws: `Failure` 70 if oneDNN keeps to another level; ours then stays what it was.
  @discardableResult
  public static func use(_ level: CPULevel) throws -> CPULevel {
    let chosen = level.rawValue < supported.rawValue ? level : supported
    try chosen.limitOneDNN()
    _ = ck_set_level(Int32(chosen.rawValue))
    return chosen
  }

  private func limitOneDNN() throws {
    // Other architectures have one level, which is not oneDNN's to choose.
    #if arch(x86_64)
      let limit =
        switch self {
        case .portable: dnnl_cpu_isa_sse41
        case .avx2: dnnl_cpu_isa_avx2
        case .avx512: dnnl_cpu_isa_avx512_core
        }
      // Every call but the first has a bad status, even for the level that is in use.
      if dnnl_set_max_cpu_isa(limit) == dnnl_success || dnnl_get_effective_cpu_isa() == limit { return }
      throw Failure(
        .internal, "oneDNN does not keep to CPU level \(self)",
        remedy:
          "use a oneDNN that was built with ONEDNN_ENABLE_MAX_CPU_ISA, and choose the level before its first product")
    #endif
  }

  /// Its name in recipes, logs and the environment: `portable`, `avx2` or `avx512`.
  public var description: String {
    switch self {
    case .portable: "portable"
    case .avx2: "avx2"
    case .avx512: "avx512"
    }
  }

  /// The level with a name.
  public init?(named name: String) {
    guard let level = CPULevel.allCases.first(where: { $0.description == name }) else { return nil }
    self = level
  }
}
