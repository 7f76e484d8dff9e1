// A launch with made-up figures.

import Collectives
import Scaling

/// Makes launches whose steps take what a test wants.
struct ExampleLaunch {
  var cell = "weak-r2-b2-t1"
  var kind = CellKind.weak
  var block = 0
  var ranks = 2
  var globalBatch = 2
  var nature = CellNature.measured
  var study = ""
  var digest = "d2"
  var seconds = [9.0, 9, 9, 1, 1.1, 0.9]
  var steal = 0.0
  var foreign = 0.0
  var traces: [TracedStep] = []

  var record: LaunchRecord {
    var identity = LaunchIdentity()
    (identity.study, identity.cell, identity.kind, identity.block) = (study, cell, kind, block)
    (identity.globalBatch, identity.nature, identity.studentDigest) = (globalBatch, nature, digest)
    (identity.program, identity.command, identity.start) = ("1 abc", "Launch/mpirun", "2026-01-02T03:04:05Z")
    (identity.leastWarmUp, identity.seconds, identity.benchmark) = (3, 10, "b0-256")
    var environment = LaunchEnvironment()
    environment.texts = ["cpu": "Example", "governor": "performance"]
    (environment.steal, environment.foreign) = (steal, foreign)
    let own = (0..<ranks).map { rank in
      var facts = LaunchRank()
      (facts.host, facts.cores, facts.gflop) = ("node\(rank)", 1, 100)
      facts.peakMemoryBytes = 1 << 30
      return facts
    }
    let count = ranks
    func table(_ value: (Double, Int) -> Double) -> StepTable<Double> {
      StepTable(ranks: count, seconds.flatMap { step in (0..<count).map { value(step, $0) } })
    }
    // Rank 0 is the slowest; each waits a tenth and spends a twentieth on sums.
    let whole = table { $0 * (1 - 0.1 * Double($1)) }
    let counts = StepTable(ranks: ranks, [Int](repeating: 7, count: seconds.count * ranks))
    return LaunchRecord(
      identity: identity, environment: environment, ranks: own, seconds: whole,
      waiting: table { step, _ in step * 0.1 },
      exposed: table { step, _ in step * 0.05 }, underWay: table { step, _ in step * 0.2 },
      phases: Dictionary(
        uniqueKeysWithValues: StudyPhase.allCases.map { phase in
          (phase, table { step, _ in phase == .source ? step : 0 })
        }), bytes: counts, messages: counts, faults: counts, traces: traces)
  }
}
