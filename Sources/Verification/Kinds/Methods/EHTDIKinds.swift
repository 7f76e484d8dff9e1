// Terms of EHTDI (Li et al., ACM MM 2022): 10-ehtdi.h5 and, of its edge-enhanced variant, 10-ehtdi-edge.h5.

import Adaptation
import Autograd
import Foundation
import Kernels
import Methods
import Tensors

/// Cross-entropy of both heads over labelled pixels.
enum EHTDISourceKind: Kind {
  static let stems = ["source"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let (main, auxiliary) = (try replay.input("main"), try replay.input("aux"))
    let labels = try replay.labels("labels", classes: main.value.channels)
    let terms = [(main, 1), (auxiliary, replay.number("auxWeight", 0.1))].map { logits, factor in
      replay.crossEntropy(logits, labels, factor: factor)
    }
    try replay.compare("loss", terms, into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Classes that may be pasted, and how many of them are.
enum ClassPoolKind: Kind {
  static let stems = ["classPool"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let pools = try replay.lists("in/present").map {
      pasteCandidates($0, above: 4, shifted: replay.option("poolQ", false))
    }
    let width = try fixture.integers(replay.path("in/present")).shape[1]
    try verifier.integers(
      replay.path("out/pool"),
      actual: pools.flatMap { $0.map { Int($0) } + [Int](repeating: -1, count: width - $0.count) })
    try verifier.integers(replay.path("out/count"), actual: pools.map { pasteCount($0.count) })
  }
}

/// Views with pasted source, what is said of the weak one, and target regions on source images.
enum TargetViewsKind: Kind {
  static let stems = ["views"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let images = try ["source_weak", "source_strong", "target_weak", "target_strong"].map { try replay.map($0) }
    let (main, auxiliary) = (try replay.map("weak_main"), try replay.map("weak_aux"))
    let truth = try replay.labels("source_labels", classes: main.channels)
    let believed = try replay.labels("target_labels", classes: main.channels)
    let pasted = try replay.pasted(truth)
    guard images.allSatisfy({ $0.shape == [truth.samples, truth.height, truth.width, 3] }),
      main.shape == auxiliary.shape, main.samples == truth.samples, believed.values.count == truth.values.count
    else { throw fixture.bad(group, "images, labels and logits of different sizes") }
    let (weak, strong) = (mix(images[0], images[2], mask: pasted), mix(images[0], images[3], mask: pasted))
    let found = WeakLabels(
      main, auxiliary: auxiliary, height: truth.height, width: truth.width, limit: Float(replay.number("limit", 0.95)))
    let recut = Recut(
      found.region, of: strong, onto: LabelledImages(image: images[1], labels: truth), found: found.main,
      pasted: pasted, predicted: replay.option("pastedLabelsQ", false))
    let grid = found.prototypes(pasted: pasted, truth: truth, height: main.shape[1], width: main.shape[2])
    for (name, image) in [("weak", weak), ("strong", strong), ("mixed", recut.image)] {
      try verifier.element(replay.path("out/\(name)"), image)
    }
    for (name, values) in [
      ("mask", pasted), ("labels", mix(truth, believed, mask: pasted).values), ("weak_labels", found.main.values),
      ("weak_both", found.both.values), ("region", found.region), ("mixed_labels", recut.labels.values),
      ("prototype_labels", grid.values),
    ] { try verifier.integers(replay.path("out/\(name)"), bytes: values) }
  }
}

/// Two sets of rows matched by index.
enum MatchingKind: Kind {
  static let stems = ["nce"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let sets = try ["a", "b"].map { name in
      let (values, shape) = try fixture.floats(replay.path("in/\(name)"))
      guard shape.count == 2 else { throw fixture.bad(replay.path("in/\(name)"), "shape \(shape)") }
      return Variable(tracked: Tensor(values, [1, 1, shape[0], shape[1]]))
    }
    guard sets[0].value.shape == sets[1].value.shape else { throw fixture.bad(group, "sets of different sizes") }
    let term = instanceMatching(
      sets[0], sets[1], scale: Float(replay.number("scale", 7)), factor: 1, name: group, replay.context(samples: 1))
    try replay.compare("loss", [term], into: &verifier)
    for (name, set) in zip(["a", "b"], sets) {
      try verifier.element(replay.path("grad/\(name)"), actual: (set.gradient ?? Tensor(zeros: set.value.shape)).values)
    }
  }
}

/// Class means and cells of two views matched.
enum TwoLevelContrastKind: Kind {
  static let stems = ["contrast"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let (strong, weak) = (try replay.input("strong"), try replay.input("weak"))
    var labels = try replay.labels("labels", classes: strong.value.channels)
    guard strong.value.shape == weak.value.shape,
      strong.value.shape == [labels.samples, labels.height, labels.width, strong.value.channels]
    else { throw fixture.bad(group, "logits and labels of different sizes") }
    if replay.option("firstImageQ", false) {
      for cell in labels.height * labels.width..<labels.values.count { labels.values[cell] = LabelMap.ignored }
    }
    let weight = Float(replay.number("weight", 0.01))
    let context = replay.context(samples: labels.samples)
    let prototype = instanceMatching(
      strong, weak, labels: labels, scale: Float(replay.number("prototypeScale", 7)), factor: weight, name: group,
      context)
    let pixel = instanceMatching(
      strong, weak, scale: Float(replay.number("pixelScale", 20)), factor: weight, name: group, context)
    try replay.compare("loss/prototype", [prototype], into: &verifier)
    try replay.compare("loss/pixel", [pixel], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Cross-entropies of the target part.
enum TargetLossKind: Kind {
  static let stems = ["target"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let options = replay.targetOptions
    let logits = try ["main", "aux", "mixed"].map { try replay.input($0) }
    let classes = logits[0].value.channels
    let labels = try ["labels", "both", "mixed_labels"].map { try replay.labels($0, classes: classes) }
    let none = [UInt8](repeating: 0, count: labels[0].values.count)
    let recut = Recut(
      none, of: Tensor(zeros: labels[2].plane),
      onto: LabelledImages(image: Tensor(zeros: labels[2].plane), labels: labels[2]),
      found: labels[2], pasted: none)
    let targets =
      options.viewTargets(labels[0], both: labels[1], pasted: none)
      + options.recutTargets(
        recut, auxiliary: labels[2], region: none, pasted: none, counts: replay.counted(labels[2].samples))
    let terms = zip(targets, logits).map { target, logits in
      (name: target.output == .auxiliary ? "aux" : "main", term: replay.term(target, logits))
    }
    for (name, term) in zip(["main", "aux", "mixed"], terms) {
      try replay.comparePart(name, [term.term], into: &verifier)
    }
    try replay.compare("loss", terms.map(\.term), into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Borders of masks.
enum BorderKind: Kind {
  static let stems = ["border"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let mask = try fixture.labels(replay.path("in/mask"))
    try verifier.integers(
      replay.path("out/border"), bytes: maskBorders(mask.values, height: mask.height, width: mask.width))
  }
}

/// Regions, labels, borders and losses of the edge-enhanced variant.
enum EdgeKind: Kind {
  static let stems = ["edge"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    var options = replay.targetOptions
    options.edges = true
    let logits = try ["main", "aux", "mixed", "mixed_aux"].map { try replay.input($0) }
    let classes = logits[0].value.channels
    let truth = try replay.labels("source_labels", classes: classes)
    let (believed, both) = (
      try replay.labels("target_labels", classes: classes), try replay.labels("both", classes: classes)
    )
    let pasted = try replay.pasted(truth)
    let clean = WeakLabels(
      try replay.map("weak_main"), auxiliary: nil, height: truth.height, width: truth.width, limit: 0.95)
    try verifier.integers(replay.path("in/region"), bytes: clean.region)
    let area = zip(pasted, clean.region).map { max($0, $1) }
    let empty = Tensor(zeros: truth.plane)
    let source = LabelledImages(image: empty, labels: truth)
    let recuts = [clean.main, both].map { Recut(area, of: empty, onto: source, found: $0, pasted: pasted) }
    let labels = mix(truth, believed, mask: pasted)
    for (name, values) in [
      ("mask", pasted), ("area", area), ("labels", labels.values), ("mixed_labels", recuts[0].labels.values),
      ("mixed_aux_labels", recuts[1].labels.values),
    ] { try verifier.integers(replay.path("out/\(name)"), bytes: values) }
    let views = options.viewTargets(labels, both: both, pasted: pasted)
    let regions = options.recutTargets(
      recuts[0], auxiliary: recuts[1].labels, region: clean.region, pasted: pasted,
      counts: replay.counted(truth.samples))
    try replay.compareBorder("paste", views, into: &verifier)
    try replay.compareBorder("region", regions, into: &verifier)
    let terms = views.map { replay.term($0, logits[$0.output == .main ? 0 : 1]) }
    let more = regions.map { replay.term($0, logits[$0.output == .main ? 2 : 3]) }
    try replay.comparePart("main", [terms[0], terms[2]], into: &verifier)
    try replay.comparePart("aux", [terms[1], terms[3]], into: &verifier)
    try replay.comparePart("mixed", more, into: &verifier)
    try replay.compare("loss", terms + more, into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// The average that is evaluated.
enum EvaluatedAverageKind: Kind {
  static let stems = ["ema"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    func vector(_ name: String) throws -> Tensor {
      let (values, shape) = try fixture.floats(replay.path(name))
      return Tensor(values, Shape(shape))
    }
    let shadow = try vector("state_before/shadow")
    let student = try vector("in/student")
    guard student.shape == shadow.shape else { throw fixture.bad(group, "students of \(student.shape)") }
    exponentialAverage(shadow, student, momentum: Float(replay.number("alpha", 0.999)))
    try verifier.element(replay.path("state_after/shadow"), actual: shadow.values)
  }
}

extension TermReplay {
  /// Options of the target part.
  fileprivate var targetOptions: TargetInformationOptions {
    var options = TargetInformationOptions()
    options.weight = number("weight", 0.1)
    options.auxiliaryWeight = number("auxWeight", 0.1)
    options.recutWeight = number("mixWeight", 0.1)
    options.firstImageRecut = option("firstImageQ", false)
    return options
  }

  /// Samples whose target regions learn.
  fileprivate func counted(_ samples: Int) -> [Bool] {
    (0..<samples).map { $0 == 0 || !targetOptions.firstImageRecut }
  }

  /// The mask of pasted classes.
  fileprivate func pasted(_ labels: LabelMap) throws -> [UInt8] {
    let chosen = try lists("draws/chosen")
    guard chosen.count == labels.samples else { throw fixture.bad(path("draws/chosen"), "\(chosen.count) lists") }
    return classMask(labels, chosen: chosen)
  }

  /// A cross-entropy over labelled pixels.
  fileprivate func crossEntropy(_ logits: Variable, _ labels: LabelMap, factor: Double) -> LossTerm {
    Autograd.crossEntropy(
      logits, labels: labels, weights: nil, valid: labels.values.count { $0 != LabelMap.ignored }, alignCorners: true,
      factor: Float(factor), name: group, context(samples: labels.samples))
  }

  /// A term; nothing where a border is empty.
  fileprivate func term(_ target: RegionTarget, _ logits: Variable) -> LossTerm {
    target.lacksBorder.contains(true)
      ? LossTerm(name: target.name, perSample: []) : crossEntropy(logits, target.labels, factor: target.factor)
  }

  /// Compares a component of the loss.
  fileprivate func comparePart(_ name: String, _ terms: [LossTerm], into verifier: inout Verifier) throws {
    try compare("part/\(name)", terms, into: &verifier)
  }

  /// Compares whether a border counts, and where it does, which pixels it has.
  fileprivate func compareBorder(_ name: String, _ targets: [RegionTarget], into verifier: inout Verifier) throws {
    let border = targets.first { $0.border != nil }
    let isUsed = border?.lacksBorder.contains(true) == false
    try verifier.integers(path("out/uses_\(name)_edge"), actual: [isUsed ? 1 : 0])
    if contains("out/\(name)Edge") { try verifier.integers(path("out/\(name)Edge"), bytes: border?.border ?? []) }
  }
}

extension LabelMap {
  /// The shape of an image of this size with one channel.
  fileprivate var plane: Shape { [samples, height, width, 1] }
}
