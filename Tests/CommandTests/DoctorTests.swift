// `apus doctor` tells the truth about the machine it runs on.

import Foundation
import Testing

@Suite struct DoctorTests {
  private func findings(_ object: [String: Any]) -> [String] {
    (object["findings"] as? [[String: Any]] ?? []).compactMap { $0["what"] as? String }
  }

  @Test func jsonHoldsTheFacts() throws {
    let outcome = try apus("doctor", "--json")
    #expect([0, 1].contains(outcome.status))
    let object = try outcome.object()
    let machine = try #require(object["machine"] as? [String: Any])
    #expect(machine["cores"] as? Int == ProcessInfo.processInfo.processorCount)
    #expect(machine["memoryBytes"] as? Int ?? 0 > 1 << 28)
    #expect(["avx512", "avx2", "portable"].contains(machine["cpuLevel"] as? String))
    let libraries = try #require(machine["libraries"] as? [[String: Any]])
    for library in libraries where library["name"] as? String == "OpenSSL" {
      #expect((library["file"] as? String)?.contains("libcrypto") == true)
    }
    #expect(outcome.errors.contains("processor"))
  }

  @Test func eachFactHasALine() throws {
    let lines = try apus("doctor").output.split(separator: "\n")
    for name in ["host", "cores", "memory", "oneDNN"] { #expect(lines.count { $0.hasPrefix(name) } == 1, "\(lines)") }
  }

  @Test func aMissingLauncherIsFound() throws {
    let with = findings(try apus("doctor", "--json").object())
    let without = findings(try apus("doctor", "--json", environment: ["PATH": "/no/such/folder"]).object())
    #expect(without.contains { $0.contains("no mpirun on PATH") })
    #expect(without.count >= with.count)
  }

  @Test func tooManyThreadsAreFound() throws {
    let text = try apus("doctor", environment: ["APUS_THREADS": "100000"]).output
    #expect(text.contains("note: APUS_THREADS is 100000, more than the usable cores"))
    #expect(try apus("doctor", environment: ["APUS_THREADS": "1e300"]).output.contains("more than the usable cores"))
    #expect(text.contains("APUS_THREADS is 100000") != (try apus("doctor").output.contains("APUS_THREADS is 100000")))
  }
}
