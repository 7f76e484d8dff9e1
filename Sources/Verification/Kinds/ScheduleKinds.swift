// Schedules, class probabilities and window geometry, with the published hyperparameters.

import Domains
import Kernels
import Optimization
import Support
import Tensors

private let iterations = "learning_rate/iteration"

/// Learning rate by step; the file holds it times 1e5.
enum LearningRateKind: Kind {
  static let stems = ["learning_rate"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let steps = try fixture.integers(iterations).values
    let schedule = LearningRateSchedule()
    try verifier.element("\(group)/value", actual: steps.map { Float(1e5 * schedule.rate(at: $0)) })
  }
}

/// Momentum of the teacher by the steps of the learning rate.
enum TeacherMomentumKind: Kind {
  static let stems = ["teacher"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let steps = try fixture.integers(iterations).values
    let schedule = TeacherMomentum()
    try verifier.element("\(group)/alpha", actual: steps.map { Float(schedule.momentum(at: $0)) })
  }
}

/// Probabilities of rare class sampling by pixel counts; the temperature is in the remark.
enum RareClassKind: Kind {
  static let stems = ["rare_class"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let path = "\(group)/probability"
    let pixels = try fixture.integers("\(group)/pixels").values
    let temperature = try fixture.read(/temperature ([.\d]+\d)/, in: path, "temperature").1
    guard let temperature = Double(temperature), temperature > 0, pixels.allSatisfy({ $0 >= 0 }),
      pixels.contains(where: { $0 > 0 })
    else { throw fixture.bad(group, "no pixels or temperature \(temperature)") }
    let probabilities = rareClassProbabilities(pixels: pixels, temperature: temperature)
    try verifier.element(path, actual: probabilities.map { Float($0) })
  }
}

/// Overlapping windows; image and crop are in the dataset's name (`136x200_crop72x104`), the stride in its remark.
enum WindowsKind: Kind {
  static let stems = ["windows"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    for path in fixture.datasets(under: group) {
      let stride = try fixture.read(/stride \((\d+), (\d+)\)/, in: path, "stride")
      let sizes = path.split { !$0.isNumber }.compactMap { Int($0) } + [stride.1, stride.2].compactMap { Int($0) }
      guard sizes.count == 6, sizes.allSatisfy({ (1...100_000).contains($0) }) else {
        throw fixture.bad(path, "the name and remark do not give image, crop and stride")
      }
      let boxes = slidingWindows(
        height: sizes[0], width: sizes[1], crop: (height: sizes[2], width: sizes[3]),
        stride: (height: sizes[4], width: sizes[5]))
      try verifier.integers(path, actual: boxes.flatMap { [$0.top, $0.bottom, $0.left, $0.right] })
    }
  }
}

/// Trusted pixels of each row of a target image; its size and the margins are in the remark.
enum MarginsKind: Kind {
  static let stems = ["margins"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let path = "\(group)/sum_rows"
    let found = try fixture.read(
      /(\d+)x(\d+) valid mask, margins (\d+) (\d+) (\d+) (\d+)/, in: path, "size and margins")
    let numbers = [found.1, found.2, found.3, found.4, found.5, found.6].compactMap { Int($0) }
    guard numbers.count == 6, (1...100_000).contains(numbers[0]), (1...100_000).contains(numbers[1]) else {
      throw fixture.bad(path, "size or margins are out of range")
    }
    let size = PixelSize(height: numbers[0], width: numbers[1])
    let margins = ImageMargins(top: numbers[2], bottom: numbers[3], left: numbers[4], right: numbers[5])
    let mask = margins.mask(
      of: Box(top: 0, bottom: size.height, left: 0, right: size.width), in: size, flipped: false)
    let sums = (0..<size.height).map { row in
      mask[row * size.width..<(row + 1) * size.width].reduce(0) { $0 + Int($1) }
    }
    try verifier.integers(path, actual: sums)
  }
}
