// Unit checks of DAFormer (Hoyer et al., CVPR 2022) that concern schedules: numbers by hand.

import Optimization
import Testing

@Suite("DAFormer checks, schedules") struct DAFormerChecks {
  @Test(
    "1: the published learning rate", arguments: [(0, 6.0e-11), (750, 2.943753e-5), (1500, 5.775e-5), (20000, 3.0e-5)])
  func learningRate(_ step: Int, _ expected: Double) {
    #expect(abs(LearningRateSchedule().rate(at: step) - expected) < 1e-6 * expected)
  }

  @Test("2: coefficient of the average", arguments: [(0, 0), (1, 0.5), (9, 0.9), (999, 0.999), (2000, 0.999)])
  func momentum(_ step: Int, _ expected: Double) {
    #expect(abs(TeacherMomentum().momentum(at: step) - expected) < 1e-15)
  }
}
