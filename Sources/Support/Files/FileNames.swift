// Names of files and folders: what may be one, and bytes that are no text.

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Why a text is not fit to be the name of a file or folder; nil if it is.
///
/// A name is one component of a path, is no longer than file systems allow, and looks like what it is: it has no control
/// characters, line breaks or marks that turn the direction of writing, and no spaces at its ends.
public func faultOfFileName(_ name: String) -> String? {
  if name.isEmpty { return "is empty" }
  if name == "." || name == ".." { return "means a folder that is there already" }
  if name.utf8.contains(UInt8(ascii: "/")) { return "has a slash" }
  if name.utf8.count > Int(NAME_MAX) { return "has \(name.utf8.count) bytes, more than \(NAME_MAX)" }
  if name.unicodeScalars.contains(where: isUnseen) { return "has a control character or a line break" }
  if name.first?.isWhitespace == true || name.last?.isWhitespace == true { return "begins or ends with a space" }
  return nil
}

private func isUnseen(_ scalar: Unicode.Scalar) -> Bool {
  let kinds: [Unicode.GeneralCategory] = [.control, .lineSeparator, .paragraphSeparator]
  return kinds.contains(scalar.properties.generalCategory) || scalar.properties.isBidiControl
}

/// The folder that a path lies in; empty for a name alone. Foundation's own (`NSString.deletingLastPathComponent`) ends the
/// process where the path is one character long.
public func parentFolder(of path: String) -> String {
  let bare = path.lastIndex { $0 != "/" }.map { path[...$0] } ?? ""
  guard let slash = bare.lastIndex(of: "/") else { return path.hasPrefix("/") ? "/" : "" }
  return slash == bare.startIndex ? "/" : String(bare[..<slash])
}

/// Refuses a path that Foundation has listed if it stands for bytes that are not UTF-8: Foundation puts U+FFFD in their
/// place, and no file of that name would be found.
/// - Throws: `Failure` 65 that shows the first such name on the way with its bytes escaped, as in `caf\xE9.png`.
public func checkListedPath(_ path: String) throws {
  func isMended(_ text: some StringProtocol) -> Bool { text.unicodeScalars.contains("\u{FFFD}") }
  guard isMended(path) else { return }
  var above = path.hasPrefix("/") ? "/" : ""
  for name in path.split(separator: "/") {
    if isMended(name) {
      let listed = bytesOfNames(in: above.isEmpty ? "." : above)
      let isThere = listed.contains { $0.elementsEqual(name.utf8) }
      if !isThere, let bytes = listed.first(where: { String(decoding: $0, as: UTF8.self) == name }) {
        throw Failure(
          .badData, "a name that is not UTF-8", at: above + escaped(bytes), remedy: "rename it, as convmv does")
      }
    }
    above += "\(name)/"
  }
}

/// Refuses arguments, and a current folder, that are not UTF-8: they would be taken for other ones.
/// - Throws: `Failure` 64 that shows the bytes escaped.
public func checkArgumentsAreText() throws {
  let arguments = (kernelBytes("/proc/self/cmdline") ?? []).split(separator: 0)
  if let argument = arguments.first(where: { String(validating: $0, as: UTF8.self) == nil }) {
    throw Failure(
      .usage, "an argument is not UTF-8", at: escaped(argument), remedy: "rename the file or folder, as convmv does")
  }
  var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
  let isKnown = getcwd(&buffer, buffer.count) != nil
  let name = buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
  if isKnown, String(validating: name, as: UTF8.self) == nil {
    throw Failure(
      .usage, "the current folder has a name that is not UTF-8", at: escaped(name), remedy: "start from another folder")
  }
}

/// Names in a folder as the system has them; none if it cannot be listed.
private func bytesOfNames(in folder: String) -> [[UInt8]] {
  guard let listing = opendir(folder) else { return [] }
  defer { closedir(listing) }
  var names: [[UInt8]] = []
  while let entry = readdir(listing) {
    // The entry may be shorter than the structure that describes it.
    var name = [UInt8](repeating: 0, count: strlen(&entry.pointee.d_name.0))
    memcpy(&name, &entry.pointee.d_name.0, name.count)
    names.append(name)
  }
  return names
}

/// Bytes that are no text, with all but ASCII as `\xNN`.
private func escaped(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { byte in
    if (0x20..<0x7f).contains(byte) { return String(Unicode.Scalar(byte)) }
    let digits = String(byte, radix: 16, uppercase: true)
    return "\\x" + (digits.count < 2 ? "0" : "") + digits
  }.joined()
}
