// How the program is called, and what it says to a wrong call.

import Testing

@Suite struct UsageTests {
  @Test func helpAndVersionSucceed() throws {
    let help = try apus("--help")
    #expect(help.status == 0)
    #expect(help.output.contains("doctor") && !help.output.contains("self-test"))
    #expect(try apus("help", "doctor").output.contains("--json"))
    #expect(try apus("--version").output.split(separator: ".").count == 3)
  }

  @Test(arguments: [["--no-such-option"], ["no-such-command"], ["doctor", "--jsno"], ["doctor", "too", "many"]])
  func wrongUsageIsOneLineAndStatus64(_ arguments: [String]) throws {
    let outcome =
      try arguments.count == 1
      ? apus(arguments[0])
      : arguments.count == 2 ? apus(arguments[0], arguments[1]) : apus(arguments[0], arguments[1], arguments[2])
    #expect(outcome.status == 64)
    #expect(outcome.output.isEmpty)
    let lines = outcome.errors.split(separator: "\n")
    #expect(lines.count == 1, "\(outcome.errors)")
    #expect(lines.first?.hasPrefix("apus: ") == true && lines.first?.hasSuffix("--help") == true, "\(outcome.errors)")
  }
}
