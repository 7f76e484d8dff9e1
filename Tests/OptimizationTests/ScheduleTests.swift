// Learning rate and teacher momentum against published numbers.

import Foundation
import Optimization
import TestSupport
import Testing

@Suite struct ScheduleTests {
  @Test("no warm-up, another power, the end")
  func constants() {
    let schedule = LearningRateSchedule(baseRate: 2, warmUpSteps: 0, power: 0.5, totalSteps: 4)
    #expect(schedule.rate(at: 0) == 2)
    #expect(abs(schedule.rate(at: 3) - 1) < 1e-15)
    #expect(schedule.rate(at: 4) == 0 && schedule.rate(at: 5) == 0)
  }

  @Test("a decay that begins after the warm-up is as long as one without")
  func delayed() {
    func schedule(_ warmUp: Int) -> LearningRateSchedule {
      LearningRateSchedule(
        baseRate: 2, warmUpSteps: warmUp, warmUpRatio: 0, warmUpTo: .delayed, power: 0.9, totalSteps: 10)
    }
    #expect([0, 1, 4].map { schedule(4).rate(at: $0) } == [0, 0.5, 2])
    for step in 0...12 { #expect(schedule(4).rate(at: step + 4) == schedule(0).rate(at: step)) }
    #expect(schedule(4).rate(at: 14) == 0)
  }

  @Test("schedules survive coding")
  func coding() throws {
    let schedule = LearningRateSchedule(
      baseRate: 0.1, warmUpSteps: 3, warmUpRatio: 0.2, warmUpTo: .base, power: 2, totalSteps: 9)
    let copy = try JSONDecoder().decode(LearningRateSchedule.self, from: JSONEncoder().encode(schedule))
    #expect(copy == schedule)
  }

  @Test("reference numbers", .enabled(if: hasSharedFolder, "needs ../shared"))
  func fixture() throws {
    let fixture = try #require(try FixtureFile("schedule"))
    let steps = try fixture.integers("learning_rate/iteration").values
    let rates = steps.map { Float(LearningRateSchedule().rate(at: $0) * 1e5) }
    #expect(try fixture.timesAllowed(rates, "learning_rate/value") <= 1)
    let momenta = steps.map { Float(TeacherMomentum().momentum(at: $0)) }
    #expect(try fixture.timesAllowed(momenta, "teacher/alpha") <= 1)
  }
}
