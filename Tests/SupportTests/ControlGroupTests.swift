// Quotas of control groups, from files like the system's.

import Foundation
import Support
import TestSupport
import Testing

@Suite struct ControlGroupTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func write(_ text: String, to path: String) throws {
    let file = folder.file(path)
    let parent = URL(filePath: file).deletingLastPathComponent()
    try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
    try text.write(toFile: file, atomically: false, encoding: .utf8)
  }

  private var group: ControlGroup { ControlGroup(root: folder.path) }

  @Test func withoutFilesThereIsNoLimit() {
    #expect(group.cores == nil && group.availableMemoryBytes == nil)
  }

  @Test func theTightestGroupOnTheWayUpCounts() throws {
    try write("0::/slurm/job 7/step\n", to: "proc/self/cgroup")
    try write("max 100000\n", to: "sys/fs/cgroup/slurm/job 7/step/cpu.max")
    try write("150000 100000\n", to: "sys/fs/cgroup/slurm/job 7/cpu.max")
    try write("400000 100000\n", to: "sys/fs/cgroup/slurm/cpu.max")
    try write("max\n", to: "sys/fs/cgroup/slurm/job 7/step/memory.max")
    try write("1000\n", to: "sys/fs/cgroup/slurm/memory.max")
    try write("400\n", to: "sys/fs/cgroup/slurm/memory.current")
    #expect(group.cores == 1.5)
    #expect(group.availableMemoryBytes == 600)
  }

  @Test func aContainerSeesItsGroupAtTheTop() throws {
    try write("0::/docker/abc\n", to: "proc/self/cgroup")
    try write("50000 100000\n", to: "sys/fs/cgroup/cpu.max")
    #expect(group.cores == 0.5)
  }

  @Test func versionOneIsRead() throws {
    try write("5:memory:/job\n4:cpu,cpuacct:/job\n1:name=systemd:/\n", to: "proc/self/cgroup")
    try write("-1\n", to: "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us")
    try write("100000\n", to: "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us")
    try write("300000\n", to: "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us")
    try write("100000\n", to: "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us")
    try write("9223372036854771712\n", to: "sys/fs/cgroup/memory/memory.limit_in_bytes")
    #expect(group.cores == 3)
    #expect(group.availableMemoryBytes == nil)
  }

  @Test(arguments: ["", "max", "0 100000", "-5 100000", "nan 100000", "100000 0", "1 2 3", "many 100000"])
  func whatIsNoQuotaIsNoLimit(_ text: String) throws {
    try write("0::/\n", to: "proc/self/cgroup")
    try write(text + "\n", to: "sys/fs/cgroup/cpu.max")
    #expect(group.cores == nil)
  }

  @Test func thisProcessHasACore() { #expect(usableCores() > 0) }
}
