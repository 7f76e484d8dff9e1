// Terms of CRDA (Koh, Fernando, ECCV workshops 2022): 08-crda.h5. N samples, P positions, K classes.

import Autograd
import Kernels
import Tensors

/// Relations between enlarged logits at given positions, of student and teacher, and how far they are apart.
enum RelationKind: Kind {
  static let stems = ["cosine", "crossEntropy", "kl"]
  /// Names of relations in files, and their weights.
  private static let known: [String: (relation: VectorRelation, weight: Double)] = [
    "cosine": (.cosine, 1), "crossEntropy": (.crossEntropy, 0.025), "kl": (.divergence, 0.008),
  ]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let student = try replay.input("student")
    let teacher = try replay.map("teacher")
    let size = try replay.size("image_size")
    let positions = try fixture.integers(replay.path("draws/positions")).values
    let name = replay.option("similarity", "cosine")
    guard let kind = known[name] else { throw fixture.bad(group, "similarity \(name)") }
    guard teacher.shape == student.value.shape, !positions.isEmpty,
      positions.allSatisfy({ (0..<size.height * size.width).contains($0) })
    else { throw fixture.bad(group, "student \(student.value.shape), teacher \(teacher.shape), or a position outside") }
    let context = replay.context(samples: teacher.samples)
    func vectors(_ logits: Variable) -> Variable {
      let dense = bilinear(logits, height: size.height, width: size.width, context)
      let places = (0..<teacher.samples).flatMap { _ in positions.map(Int32.init) }
      return gathered(dense, at: places, perSample: positions.count, context)
    }
    let (own, other) = (vectors(student), vectors(Variable(constant: teacher)).value)
    try verifier.element(replay.path("out/vectors"), own.value)
    try verifier.element(replay.path("out/student_relations"), relations(own.value, kind.relation))
    try verifier.element(replay.path("out/teacher_relations"), relations(other, kind.relation))
    let term = relationConsistency(
      own, references: other, relation: kind.relation, factor: Float(replay.number("factor", kind.weight)),
      name: group, context)
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// The gradient by sampled vectors.
enum RelationGradientKind: Kind {
  static let stems = ["vectorGradient"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let student = Variable(tracked: try fixture.tensor(replay.path("in/student")))
    let teacher = try fixture.tensor(replay.path("in/teacher"))
    guard student.value.shape.rank == 3, student.value.shape == teacher.shape, teacher.count > 0 else {
      throw fixture.bad(group, "student \(student.value.shape), teacher \(teacher.shape)")
    }
    let term = relationConsistency(
      student, references: teacher, relation: .cosine, factor: 1, name: group,
      replay.context(samples: teacher.samples))
    try replay.compare("loss", [term], into: &verifier)
    for path in ["out/gradient", "grad/student"] {
      try verifier.element(replay.path(path), student.gradient ?? Tensor(zeros: teacher.shape))
    }
  }
}
