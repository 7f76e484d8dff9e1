// What this machine offers, read from the system's own files; nothing here needs root.

import Foundation
import Kernels
import Support

/// What `apus doctor` found.
struct Machine: Encodable {
  /// A library this program has loaded and the file it came from.
  struct Library: Encodable {
    let name: String
    let file: String?
  }

  let host = ProcessInfo.processInfo.hostName
  let system: String
  let cpu: String
  /// "avx512", "avx2" or "portable": which copies of the vector loops run.
  let cpuLevel: String
  let cores: Int
  /// Cores this process may use: affinity and control group.
  let usableCores: Double
  let memoryBytes: Int
  /// What the kernel and the control group leave to this process.
  let availableMemoryBytes: Int
  let sharedMemoryBytes: Int?
  let freeDiskBytes: Int?
  let libraries: [Library]
  /// First line of `mpirun --version`.
  let mpirun: String?

  /// Looks at this machine and this process.
  init() {
    let cpuLines = Machine.lines("/proc/cpuinfo")
    let memory = Machine.lines("/proc/meminfo")
    let system = Machine.lines("/etc/os-release").first { $0.hasPrefix("PRETTY_NAME=") }
    self.system = system.map { $0.dropFirst("PRETTY_NAME=".count).trimmingCharacters(in: ["\""]) } ?? "unknown"
    cpu = Machine.field("model name", in: cpuLines) ?? "unknown"
    cpuLevel = "\(CPULevel.supported)"
    let affinity = ProcessInfo.processInfo.activeProcessorCount
    cores = max(affinity, cpuLines.count { $0.hasPrefix("processor") })
    usableCores = min(Double(affinity), Machine.coreQuota() ?? .infinity)
    memoryBytes = Machine.kilobytes("MemTotal", in: memory)
    let left = Machine.kilobytes("MemAvailable", in: memory)
    availableMemoryBytes = min(left, Machine.memoryQuota() ?? left)
    sharedMemoryBytes = Machine.diskBytes("/dev/shm", .systemSize)
    freeDiskBytes = Machine.diskBytes(FileManager.default.currentDirectoryPath, .systemFreeSize)
    libraries = Machine.loadedLibraries()
    mpirun = Machine.firstLine(of: ["mpirun", "--version"])
  }

  /// Lines of a file, also of one whose length the system does not know beforehand.
  private static func lines(_ path: String) -> [String] {
    guard let bytes = try? FileHandle(forReadingFrom: URL(fileURLWithPath: path)).readToEnd() else { return [] }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  private static func field(_ name: String, in lines: [String]) -> String? {
    lines.first { $0.hasPrefix(name) }?.split(separator: ":", maxSplits: 1).last?.trimmingCharacters(in: .whitespaces)
  }

  private static func kilobytes(_ name: String, in lines: [String]) -> Int {
    let words = field(name, in: lines)?.split(separator: " ") ?? []
    return (words.first.flatMap { Int($0) } ?? 0) * 1024
  }

  private static func coreQuota() -> Double? {
    let words = lines("/sys/fs/cgroup/cpu.max").first?.split(separator: " ").map { Double($0) } ?? []
    guard words.count == 2, let quota = words[0], let period = words[1], period > 0 else { return nil }
    return quota / period
  }

  private static func memoryQuota() -> Int? {
    guard let limit = lines("/sys/fs/cgroup/memory.max").first.flatMap({ Int($0) }) else { return nil }
    let used = lines("/sys/fs/cgroup/memory.current").first.flatMap { Int($0) } ?? 0
    return max(0, limit - used)
  }

  private static func diskBytes(_ path: String, _ key: FileAttributeKey) -> Int? {
    (try? FileManager.default.attributesOfFileSystem(forPath: path))?[key].flatMap { ($0 as? NSNumber)?.intValue }
  }

  private static func loadedLibraries() -> [Library] {
    let files = lines("/proc/self/maps").compactMap { line in line.firstIndex(of: "/").map { String(line[$0...]) } }
    let names = [
      ("MPI", "libmpi.so"), ("OpenBLAS", "libopenblas"), ("oneDNN", "libdnnl"), ("HDF5", "libhdf5"),
      ("libpng", "libpng"), ("libjpeg-turbo", "libturbojpeg"), ("OpenSSL", "libcrypto"),
    ]
    return names.map { name, prefix in
      Library(name: name, file: files.first { ($0.split(separator: "/").last ?? "").hasPrefix(prefix) })
    }
  }

  private static func firstLine(of command: [String]) -> String? {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return nil }
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return process.terminationStatus == 0 ? text.split(separator: "\n").first.map(String.init) : nil
  }
}
