// Which process wrote a file, so that others can tell whether it still lives.

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A process, under a name that no other process has, on any host and at any time.
public struct ProcessIdentity: Sendable, Equatable, CustomStringConvertible {
  /// What can be known of a process from here.
  public enum Standing: Sendable {
    case lives
    case hasEnded
    /// It belongs to another host or container, or to the time before a restart of this host.
    case unknown
  }

  /// The start of the kernel: the first twelve digits of its random identifier.
  private let boot: String
  /// The kernel's number of the namespace in which the process id counts: containers have their own.
  private let namespace: UInt64
  private let process: Int32
  /// Clock ticks from the kernel's start to the process's: process ids are used again.
  private let start: UInt64

  /// This process.
  public static let current = ProcessIdentity(
    boot: kernelBoot ?? unknownBoot, namespace: processNamespace ?? 0, process: getpid(),
    start: start(of: getpid()) ?? 0)

  private static let unknownBoot = "unknown"

  private init(boot: String, namespace: UInt64, process: Int32, start: UInt64) {
    self.boot = boot
    self.namespace = namespace
    self.process = process
    self.start = start
  }

  /// Reads what `description` wrote; nil if it is something else.
  public init?(_ text: some StringProtocol) {
    let fields = text.split(separator: "-", omittingEmptySubsequences: false)
    guard fields.count == 4, !fields[0].isEmpty, let namespace = UInt64(fields[1]), let process = Int32(fields[2]),
      process > 0, let start = UInt64(fields[3])
    else { return nil }
    self.init(boot: String(fields[0]), namespace: namespace, process: process, start: start)
  }

  /// `BOOT-NAMESPACE-PROCESS-START`.
  public var description: String { "\(boot)-\(namespace)-\(process)-\(start)" }

  /// Whether its kernel is the one that this process runs on.
  public var isOfThisKernel: Bool { boot == ProcessIdentity.current.boot && boot != ProcessIdentity.unknownBoot }

  /// Whether it lives, as far as this process can prove.
  public var standing: Standing {
    guard isOfThisKernel, namespace == ProcessIdentity.current.namespace, namespace != 0 else { return .unknown }
    // Whoever may not look into a process of another user still learns that there is one.
    if kill(process, 0) != 0 && errno == ESRCH { return .hasEnded }
    guard let found = ProcessIdentity.start(of: process) else { return .unknown }
    return found == start ? .lives : .hasEnded
  }

  private static var kernelBoot: String? {
    let digits = kernelText("/proc/sys/kernel/random/boot_id")?.filter(\.isHexDigit).prefix(12)
    return digits.flatMap { $0.count == 12 ? String($0) : nil }
  }

  /// From a link such as `pid:[4026531836]`.
  private static var processNamespace: UInt64? {
    var link = [CChar](repeating: 0, count: 64)
    let count = readlink("/proc/self/ns/pid", &link, link.count)
    return UInt64(
      String(decoding: link.prefix(max(count, 0)).map(UInt8.init(bitPattern:)), as: UTF8.self).filter(\.isNumber))
  }

  /// The 22nd field of the kernel's line about a process; the second, its name, may hold spaces and parentheses.
  private static func start(of process: Int32) -> UInt64? {
    guard let line = kernelText("/proc/\(process)/stat"), let name = line.lastIndex(of: ")") else { return nil }
    let fields = line[line.index(after: name)...].split(separator: " ")
    return fields.count > 19 ? UInt64(fields[19]) : nil
  }
}
