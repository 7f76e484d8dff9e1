// `apus verify`: the numbers of reference files against this program's.

import ArgumentParser
import Collectives
import Foundation
import Kernels
import StorageHDF5
import Support
import Training
import Verification

/// Repeats what reference files hold and compares.
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Repeat the computations of reference files and compare; exit status 1 if anything is over tolerance.",
    discussion: """
      What a file holds is read from its names; a file that starts from given weights finds them in weights.h5 beside it. \
      A file whose name begins with a method's number, such as 16-advent.h5, is read as that method's.
      Errors are absolute, relative to the item's largest value, and as multiples of the allowed error: 10 times the noise of single \
      precision plus 3e-6 of the largest value at any element, or 5e-4 in norm for gradients. See docs/numerics.md.
      """)

  @Argument(help: "Reference files.")
  var files: [String]
  @Option(help: "Factor of every allowed error; whole numbers stay exact.")
  var tolerance = 1.0
  @Option(help: "How 3x3 convolutions are computed; see the recipe key of that name.")
  var convolution = ConvolutionMethod.winograd
  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  /// The JSON object.
  private struct Report: Encodable {
    let files: [VerifiedFile]
    let items: Int
    let failed: Int
  }

  func validate() throws {
    guard tolerance > 0, tolerance.isFinite else { throw ValidationError("--tolerance must be positive") }
  }

  func run() throws {
    try runAlone {
      try setUpMachine(threads: try environmentThreads(), on: SoloCommunicator())
      ConvolutionMethod.current = convolution
      // All are opened first, so that a missing file is told before the work.
      let fixtures = try files.map { try Fixture($0) { try HDF5File(reading: $0) } }
      let outcomes = fixtures.map { fixture in
        let outcome = verify(fixture, tolerance: tolerance)
        tell(outcome)
        return outcome
      }
      let items = outcomes.flatMap(\.items)
      let failed = items.count { !$0.ok }
      let worst = items.map(\.timesAllowed).max().map { ", at most \(three($0)) times the allowed error" } ?? ""
      say("\(items.count) items in \(files.count) files, \(failed) over tolerance\(worst)", json: json)
      if items.isEmpty { writeErrorLine("apus: nothing was checked; these files hold weights only") }
      if json { print(try jsonLine(Report(files: outcomes, items: items.count, failed: failed))) }
      return failed == 0 && !items.isEmpty ? .done : .checkFailed
    }
  }

  private func tell(_ outcome: VerifiedFile) {
    let failed = outcome.items.count { !$0.ok }
    say("\(outcome.file): \(outcome.items.count) items, \(failed) over tolerance", json: json)
    guard !outcome.items.isEmpty else { return }
    let width = outcome.items.map(\.name.count).max() ?? 0
    say("      " + row("item", width, "max abs", "max rel", "x allowed", "at", ""), json: json)
    for item in outcome.items {
      let place = item.at.map(String.init).joined(separator: ",")
      let text = row(
        item.name, width, three(item.maxAbs), three(item.maxRel), three(item.timesAllowed), place, item.note)
      say((item.ok ? "  ok  " : "  OVER") + text, json: json)
    }
  }

  private func row(
    _ name: String, _ width: Int, _ abs: String, _ rel: String, _ times: String, _ place: String, _ note: String
  ) -> String {
    let cells = [
      name.padding(toLength: width, withPad: " ", startingAt: 0), padded(abs), padded(rel), padded(times),
      place.padding(toLength: max(14, place.count), withPad: " ", startingAt: 0), note,
    ]
    return " " + cells.joined(separator: "  ").replacing(/\ +$/, with: "")
  }

  private func padded(_ text: String) -> String { String(repeating: " ", count: max(0, 9 - text.count)) + text }

  private func three(_ number: Double) -> String { number == 0 ? "0" : String(format: "%.2e", number) }
}
