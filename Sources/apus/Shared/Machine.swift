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
  /// What the kernel, the control group and limits of its own leave to this process.
  let availableMemoryBytes: Int
  let sharedMemoryBytes: Int?
  let freeDiskBytes: Int?
  let libraries: [Library]
  /// First line of `mpirun --version`.
  let mpirun: String?

  /// Looks at this machine and this process.
  init() {
    let cpuLines = systemFileLines("/proc/cpuinfo")
    let memory = systemFileLines("/proc/meminfo")
    let system = systemFileLines("/etc/os-release").first { $0.hasPrefix("PRETTY_NAME=") }
    self.system = system.map { $0.dropFirst("PRETTY_NAME=".count).trimmingCharacters(in: ["\""]) } ?? "unknown"
    cpu = Machine.field("model name", in: cpuLines) ?? "unknown"
    cpuLevel = "\(CPULevel.supported)"
    let affinity = ProcessInfo.processInfo.activeProcessorCount
    cores = max(affinity, cpuLines.count { $0.hasPrefix("processor") })
    usableCores = Support.usableCores()
    memoryBytes = Machine.kilobytes("MemTotal", in: memory)
    let left = Machine.kilobytes("MemAvailable", in: memory)
    availableMemoryBytes = min(
      left, ControlGroup().availableMemoryBytes ?? left, MemoryLimit.availableBytes ?? left)
    sharedMemoryBytes = Machine.diskBytes("/dev/shm", .systemSize)
    freeDiskBytes = Machine.diskBytes(FileManager.default.currentDirectoryPath, .systemFreeSize)
    libraries = Machine.loadedLibraries()
    mpirun = Machine.firstLine(of: "mpirun --version")
  }

  private static func field(_ name: String, in lines: [String]) -> String? {
    lines.first { $0.hasPrefix(name) }?.split(separator: ":", maxSplits: 1).last?.trimmingCharacters(in: .whitespaces)
  }

  private static func kilobytes(_ name: String, in lines: [String]) -> Int {
    let words = field(name, in: lines)?.split(separator: " ") ?? []
    return (words.first.flatMap { Int($0) } ?? 0) * 1024
  }

  private static func diskBytes(_ path: String, _ key: FileAttributeKey) -> Int? {
    (try? FileManager.default.attributesOfFileSystem(forPath: path))?[key].flatMap { ($0 as? NSNumber)?.intValue }
  }

  private static func loadedLibraries() -> [Library] {
    let files = systemFileLines("/proc/self/maps").compactMap { line in
      line.firstIndex(of: "/").map { String(line[$0...]) }
    }
    let names = [
      ("MPI", "libmpi.so"), ("oneDNN", "libdnnl"), ("HDF5", "libhdf5"),
      ("libpng", "libpng"), ("libjpeg-turbo", "libturbojpeg"), ("OpenSSL", "libcrypto"),
    ]
    return names.map { name, prefix in
      Library(name: name, file: files.first { ($0.split(separator: "/").last ?? "").hasPrefix(prefix) })
    }
  }

  /// What a command prints first; nil if it cannot be run or fails. Not by Foundation's `Process`, which needs threads.
  private static func firstLine(of command: String) -> String? {
    guard let pipe = popen("exec \(command) 2>/dev/null", "r") else { return nil }
    var bytes: [UInt8] = []
    while case let byte = getc(pipe), byte >= 0 { bytes.append(UInt8(truncatingIfNeeded: byte)) }
    guard pclose(pipe) == 0 else { return nil }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").first.map(String.init)
  }
}
