// Unit checks of DACS (Tranheden et al., WACV 2021) that concern schedules: numbers by hand.

import Optimization
import Testing

@Suite("DACS checks, schedules") struct DACSChecks {
  @Test(
    "1: coefficient of the average at the end of a step, which moves as the next one begins",
    arguments: [(0, 0), (1, 0.5), (2, 2.0 / 3), (99, 0.99), (100, 0.99)])
  func momentum(_ step: Int, _ expected: Double) {
    let late = TeacherMomentum(alpha: 0.99, average: .late)
    #expect(abs(late.momentum(at: step + 1) - expected) < 1e-15)
    #expect(late.momentum(at: step + 1) == TeacherMomentum(alpha: 0.99).momentum(at: step))
    #expect(late.momentum(at: 0) == 0, "a copy, before anything is labelled")
  }

  @Test("1: weights that start at 0, a student of 1 after step 0: the teacher of step 1 is 1, HRDA's 0.5")
  func oneStep() {
    func teacher(_ average: TeacherAverage) -> Double {
      1 - TeacherMomentum(alpha: 0.99, average: average).momentum(at: 1)
    }
    #expect(teacher(.late) == 1 && teacher(.early) == 0.5)
  }
}
