// A pseudo-label cache of a whole data set, made by one network outside training.

import Collectives
import Domains
import Recipes
import Storage
import Support

/// Predicts every image of a data set by sliding windows and keeps what it finds.
///
/// Image i is predicted by the rank that owns it, i modulo the world size; what is kept does not depend on their number.
/// What was published before an interruption is not made again, whatever the number of ranks was then.
public struct PseudoLabelBuilder {
  /// How a build went. The same on all ranks.
  public struct Outcome: Sendable, Equatable {
    /// Images of the data set.
    public let images: Int
    /// Those that an earlier build had left.
    public let found: Int
  }

  /// How much longer the labelling between two publications takes than one of them.
  private static let pausePerPublication = 20.0
  private let dataset: any Dataset
  private let predictor: Predictor
  private let looks: LabelLooks
  private let step: Int
  private let communicator: any Communicator
  private let say: (String) -> Void

  /// - Parameters:
  ///   - dataset: the images.
  ///   - predictor: the network's sliding windows.
  ///   - looks: what the network looks at besides the image.
  ///   - step: completed steps of the network's run, the step of all entries.
  ///   - communicator: the ranks.
  ///   - say: prints a line of progress; called on rank 0.
  public init(
    _ dataset: any Dataset, _ predictor: Predictor, looks: LabelLooks = LabelLooks(), step: Int,
    on communicator: any Communicator,
    say: @escaping (String) -> Void
  ) {
    self.dataset = dataset
    self.predictor = predictor
    self.looks = looks
    self.step = step
    self.communicator = communicator
    self.say = communicator.rank == 0 ? say : { _ in }
  }

  /// Where the entries come from, for this rank.
  /// - Throws: `Failure` 65 if the images differ in size.
  public func origin(teacherDigest: String, recipe: Recipe) throws -> PseudoLabelOrigin {
    try dataset.requireOneSize()
    let size = try dataset.size(0)
    var origin = PseudoLabelOrigin(
      teacherDigest: teacherDigest, recipeDigest: named(recipe.weightFingerprint),
      formerRecipeDigest: named(recipe.formerWeightFingerprint), dataDigest: dataset.identity.digest,
      threshold: Float(recipe.teacher.threshold), height: size.height, width: size.width, rank: communicator.rank,
      worldSize: communicator.worldSize)
    origin.hasFineConfidence = true
    return origin
  }

  /// Labels of two predictions are others than those of one.
  private func named(_ recipe: String) -> String {
    guard looks != LabelLooks() else { return recipe }
    let hash = SHA256()
    hash.update("\(recipe)\(looks.flips ? ", flipped" : "")\(looks.halfSize ? ", half size" : "")")
    return hash.hexadecimal()
  }

  /// Builds what is missing. A collective.
  /// - Parameters:
  ///   - store: where the cache is.
  ///   - origin: what makes it; another one's cache is refused.
  ///   - publishEvery: seconds after which what there is is put on disk, or more where that itself takes long.
  /// - Throws: on all ranks, what reading and storing throw; `Failure` 65 if the folder's cache is of another origin; 75
  ///   if a signal asks a run to stop: what was made until there is on disk.
  public func build(
    _ store: any PseudoLabelStore, _ origin: PseudoLabelOrigin, publishEvery: Double = 30
  ) throws -> Outcome {
    let writer = try communicator.together { try store.resume(origin, completedSteps: step + 1) }
    let own = Array(stride(from: communicator.rank, to: dataset.count, by: communicator.worldSize))
    let missing = own.filter { !writer.holds(image: $0) }
    let found = dataset.count - Int(try communicator.sumIntegers([Int64(missing.count)])[0])
    if found > 0 { say("\(found) of \(dataset.count) images are there already") }
    let rounds = Int(try communicator.allMaximum(Int64(missing.count)))
    var watch = Stopwatch()
    var pause = publishEvery
    for round in 0..<rounds {
      try communicator.together { if round < missing.count { try writer.append(try entry(missing[round], origin)) } }
      // The clock of one rank decides for all.
      let isDue = communicator.rank == 0 && watch.seconds >= pause
      let asked = try communicator.orBits((isDue ? 1 : 0) | (StopSignals.pending == nil ? 0 : 2))
      guard asked != 0 || round == rounds - 1 else { continue }
      watch = Stopwatch()
      try communicator.together { try writer.publish(completedSteps: step + 1) }
      // A publication writes all there is: the longer one takes, the rarer they are, so that they never take over.
      pause = max(publishEvery, PseudoLabelBuilder.pausePerPublication * watch.seconds)
      let made = try communicator.sumIntegers([Int64(min(round + 1, missing.count))])[0]
      say("\(found + Int(made)) of \(dataset.count) images")
      guard asked & 2 == 0 || round == rounds - 1 else {
        throw communicator.failTogether(
          Failure(.stopped, "stopped by a signal while images were labelled", remedy: "go on with --resume"))
      }
      watch = Stopwatch()
    }
    // Also where nothing was missing: another number of ranks has taken the entries over.
    if rounds == 0 { try communicator.together { try writer.publish(completedSteps: step + 1) } }
    try communicator.barrier()
    // Rank 0's second publication removes the files of another number of ranks.
    if found > 0 {
      try communicator.together { if communicator.rank == 0 { try writer.publish(completedSteps: step + 1) } }
    }
    return Outcome(images: dataset.count, found: found)
  }

  private func entry(_ image: Int, _ origin: PseudoLabelOrigin) throws -> PseudoLabelEntry {
    let pixels = try dataset.image(image)
    let (labels, confidence) = try predictor.predict(pixels, looks)
    return PseudoLabelEntry(
      image: image, step: step, labels: labels, probabilities: confidence.values, threshold: origin.threshold,
      isFine: origin.hasFineConfidence)
  }
}
