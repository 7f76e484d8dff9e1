// A sweep over a data set inside a run, which gives an objective's state its first values.

import Autograd
import Collectives
import Kernels
import Networks
import Support
import Tensors

/// What an objective wants to know of a whole data set before a step.
///
/// Every image gives a row of numbers; rows are added up in an order that no number of ranks changes, or all kept. What
/// there is so far is part of the run's state, so that a survey that a signal interrupts goes on after a resume.
public struct Survey {
  /// Which images.
  public enum Images: Sendable {
    /// Labelled source images.
    case source
    /// Target images; with labels where an earlier stage made some.
    case target
  }

  /// What becomes of the rows. It is told on all ranks.
  public enum Outcome {
    /// The sums of all rows, and the number of images.
    case sums((_ sums: [Double], _ images: Int) -> Void)
    /// All rows `[images, width]` in the order of the data set, and the step that the survey comes before. They are part
    /// of checkpoints.
    case rows((_ rows: Tensor, _ step: Int) -> Void)
  }

  /// Name, unique in the objective.
  public let name: String
  /// Which images.
  public let images: Images
  /// Numbers of a row.
  public let width: Int
  /// Whether it comes before a step: a function of the step's number.
  public let isDue: (_ step: Int) -> Bool
  /// The row of an image, `[width]`. Called on the rank that looks at the image; may reach no collective.
  public let row: (SurveyedImage) throws -> [Double]
  /// What becomes of the rows.
  public let outcome: Outcome

  /// A survey whose rows are added up.
  public init(
    _ name: String, of images: Images, width: Int, isDue: @escaping (_ step: Int) -> Bool,
    row: @escaping (SurveyedImage) throws -> [Double], take: @escaping (_ sums: [Double], _ images: Int) -> Void
  ) { self.init(name, of: images, width: width, isDue: isDue, row: row, .sums(take)) }

  /// A survey.
  public init(
    _ name: String, of images: Images, width: Int, isDue: @escaping (_ step: Int) -> Bool,
    row: @escaping (SurveyedImage) throws -> [Double], _ outcome: Outcome
  ) {
    precondition(width > 0, "rows of \(width) numbers")
    self.name = name
    self.images = images
    self.width = width
    self.isDue = isDue
    self.row = row
    self.outcome = outcome
  }

  /// Whether all rows are kept, which are only added up else.
  public var keepsRows: Bool {
    if case .rows = outcome { true } else { false }
  }
}

/// A whole image as a survey sees it.
public struct SurveyedImage {
  /// The normalised image `[1, H, W, 3]`, filled up at the right and bottom with the mean colour until the network can
  /// look at it.
  public let image: Tensor
  /// Its labels, 255 where it was filled up; nil for images without.
  public let labels: LabelMap?
  /// The trained network.
  public let student: SegmentationNetwork

  /// An image as a data set gives it.
  /// - Parameters:
  ///   - image: normalised, `[1, h, w, 3]`.
  ///   - labels: of the same size.
  ///   - student: the trained network.
  public init(_ image: Tensor, labels: LabelMap?, student: SegmentationNetwork) {
    let (height, width) = (image.shape[1], image.shape[2])
    let multiple = student.grid.offsetMultiple
    let (rows, columns) = (height.roundedUp(to: multiple), width.roundedUp(to: multiple))
    self.student = student
    self.image = Kernels.padded(
      image, into: Box(top: 0, bottom: height, left: 0, right: width), height: rows, width: columns)
    self.labels = labels?.filledUp(height: rows, width: columns)
  }

  /// What the student makes of the image in evaluation mode: of the context where it has one, else of the whole image.
  public func run(keeping sites: Set<Site>) throws -> TrainingOutput {
    try student.train(
      Variable(constant: image), box: Box(top: 0, bottom: image.shape[1], left: 0, right: image.shape[2]),
      crops: .context, keeping: sites, context)
  }

  /// The encoder's finest map of the image in evaluation mode; as `run`, without what comes after it.
  public func finestMap() throws -> Tensor { try student.finestMap(image, context) }

  private var context: ForwardContext {
    BatchShare(communicator: SoloCommunicator(), globalBatch: 1, samples: 0..<1).context(normalization: .running)
  }
}
