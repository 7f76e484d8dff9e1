// A few labelled images, chosen class by class, of each of which one class is labelled.

import Imagery
import Support
import Tensors

/// Which images are chosen, and how many.
public struct FewShotRules: Sendable, Equatable {
  /// Train ids of the classes that are shown.
  public let classes: [Int]
  /// Images of each class at most.
  public let perClass: Int
  /// Seed of the choice, whatever the run's.
  public let seed: UInt64

  /// From its parts.
  public init(classes: [Int], perClass: Int, seed: UInt64) {
    self.classes = classes
    self.perClass = perClass
    self.seed = seed
  }
}

/// Images of a labelled set, class after class: an image that shows several classes may be there for each, and has the
/// labels of one only.
///
/// The choice is a function of the labels and the rules alone, so that it is the same on all ranks, in every session,
/// and for every seed of training.
public struct FewShotImages: Dataset {
  /// An image that is there for a class.
  private struct Choice: Sendable {
    let label: Int
    let image: Int
  }

  private let images: any Dataset
  private let choices: [Choice]

  /// Chooses.
  /// - Parameters:
  ///   - set: the labelled set.
  ///   - counts: pixels of each class in its labels.
  ///   - rules: which are chosen.
  ///   - classNames: by train id, for messages.
  /// - Throws: `Failure` 65 if no image shows a class.
  public init(
    of set: any Dataset, _ counts: ClassStatistics, _ rules: FewShotRules, classNames: [String]
  ) throws {
    images = set
    choices = try rules.classes.flatMap { label in
      let showing = counts.images(of: label, moreThan: 0)
      guard !showing.isEmpty else {
        throw Failure(
          .badData, "none of \(set.count) few-shot images shows class \(label) (\(classNames[label]))",
          at: "data.fewShot.classes", remedy: "leave the class out, or give more images")
      }
      var stream = RandomStream(
        seed: rules.seed, step: 0, sample: label, purpose: Purpose("data", "few-shot", "choice"))
      return showing.shuffled(using: &stream).prefix(rules.perClass).sorted().map { Choice(label: label, image: $0) }
    }
  }

  /// Images of all classes together.
  public var count: Int { choices.count }
  /// The image's name and the class that it is there for.
  public func name(_ index: Int) -> String { "\(images.name(choices[index].image)) for class \(choices[index].label)" }
  /// As the set's.
  public func place(_ index: Int) -> String { images.place(choices[index].image) }
  /// As the set's.
  public func image(_ index: Int) throws -> RGBImage { try images.image(choices[index].image) }
  /// As the set's.
  public func size(_ index: Int) throws -> PixelSize { try images.size(choices[index].image) }
  /// As the set's.
  public func checkFiles(_ index: Int) throws -> PixelSize { try images.checkFiles(choices[index].image) }
  /// As the set's.
  public var mapNames: Set<String> { images.mapNames }
  /// As the set's.
  public func map(_ name: String, _ index: Int) throws -> PixelMap { try images.map(name, choices[index].image) }
  /// What the set is: the recipe tells which of its images are chosen.
  public var identity: DatasetIdentity { images.identity }

  /// Labels of one class, 255 elsewhere.
  public func labels(_ index: Int) throws -> LabelMap? { try imageAndLabels(index).labels }

  /// The image with the labels of one class.
  public func imageAndLabels(_ index: Int) throws -> (image: RGBImage, labels: LabelMap?) {
    let (choice, (image, labels)) = (choices[index], try images.imageAndLabels(choices[index].image))
    let own = labels.map { labels in
      LabelMap(
        height: labels.height, width: labels.width,
        values: labels.values.map { Int($0) == choice.label ? $0 : LabelMap.ignored })
    }
    return (image, own)
  }
}
