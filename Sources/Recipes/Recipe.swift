// A recipe: everything that decides the outcome of a run, complete and typed. Sections are in RecipeSections.swift and
// RecipeData.swift; how a file becomes a recipe is in RecipeReading.swift. Every key is documented in docs/recipes.md.

import Adaptation
import DataParallel
import Kernels
import Support

/// The complete description of one training run.
///
/// The defaults are the published ones of HRDA on GTA to Cityscapes (Hoyer, Dai, Van Gool, ECCV 2022). `data.source` has
/// no default; the other data sets may be left out where the method and the evaluation do without.
public struct Recipe: Sendable, Equatable {
  /// Name of the run and of its default directory, `Checkpoints/<name>`; the file's stem if not given.
  public var name = ""
  /// Seed of every random draw.
  public var seed: UInt64 = 0
  /// Compute threads a rank uses; 0 is its share of the cores it may run on: their number divided by the ranks of its
  /// host, at least one. `APUS_THREADS` replaces it.
  public var threads = 0
  /// How gradients are summed over ranks.
  public var reduction = Reduction.reproducible
  /// How ranks exchange gradients.
  public var communication = Communication()
  /// How 3x3 convolutions are computed.
  public var convolution = ConvolutionMethod.winograd
  /// A checkpoint whose weights the run starts from, at step 0 (`init`).
  public var initialCheckpoint: String?
  /// The adaptation method and its own options.
  public var method = Method()
  /// Objectives that are added to the method's own.
  public var objectives = AddedObjectives()
  /// Samples of a step.
  public var batch = Batch()
  /// The classes that are told apart.
  public var classes = ClassesSetting.named("cityscapes19")
  /// The encoder.
  public var encoder = Encoder()
  /// The segmentation head.
  public var head = Head()
  /// The scale-attention head.
  public var attention = Attention()
  /// Resolutions and their fusion.
  public var network = Network()
  /// What losses are divided by.
  public var loss = Loss()
  /// The training crop.
  public var crop = Crop()
  /// The optimizer.
  public var optimizer = Optimizer()
  /// Length of the run and learning rate over it.
  public var schedule = Schedule()
  /// The exponential average that makes pseudo-labels.
  public var teacher = Teacher()
  /// Who labels target images.
  public var labels = Labels()
  /// Strong augmentation of mixed images.
  public var mix = Mix()
  /// Strong augmentation of source images too; a control for how much augmentation alone brings.
  public var augmentSource = false
  /// Distance to the frozen encoder's features.
  public var featureDistance = FeatureDistanceOptions()
  /// Which source images are drawn how often.
  public var rareClassSampling = RareClassSampling()
  /// The data sets.
  public var data = Data()
  /// Evaluation during and after training.
  public var evaluation = Evaluation()
  /// When checkpoints are written and how many are kept.
  public var checkpoint = Checkpoint()
  /// When a line is added to the log.
  public var log = Every(1)
  /// When replicas are compared over ranks.
  public var digest = Every(100)
  /// What happens to steps whose numbers have gone wrong.
  public var stepGuard = Guard()
  /// Watching over the ranks.
  public var watch = Watch()
  /// Whether a trace of the phases is written.
  public var trace = false

  /// The defaults, without data.
  public init() {}

  /// Shows every setting to the visitor. A catalogue, needed for reading, decides which options the method has.
  mutating func visit(_ settings: inout some SettingVisitor, _ catalogue: RecipeCatalogue?) throws {
    try settings.value("name", &name)
    try settings.value("seed", &seed)
    try settings.value("threads", &threads, .atLeast(0))
    try settings.value("reduction", &reduction)
    try settings.group("communication", &communication)
    try settings.value("convolution", &convolution)
    try settings.path("init", &initialCheckpoint)
    try visitMethod(&settings, catalogue)
    try settings.group("batch", &batch)
    try settings.value("classes", &classes)
    try settings.group("encoder", &encoder)
    try settings.group("head", &head)
    try settings.group("attention", &attention)
    try settings.group("network", &network)
    try settings.group("loss", &loss)
    try settings.group("crop", &crop)
    try settings.group("optimizer", &optimizer)
    try settings.group("schedule", &schedule)
    try settings.group("teacher", &teacher)
    try settings.group("labels", &labels)
    try settings.group("mix", &mix)
    try settings.value("augmentSource", &augmentSource)
    try settings.group("featureDistance", &featureDistance)
    try settings.group("rareClassSampling", &rareClassSampling)
    try settings.group("data", &data)
    try settings.group("evaluation", &evaluation)
    try settings.group("checkpoint", &checkpoint)
    try settings.group("log", &log)
    try settings.group("digest", &digest)
    try settings.group("guard", &stepGuard)
    try settings.group("watch", &watch)
    try settings.value("trace", &trace)
  }

  /// Method, its options and what is added to it.
  private mutating func visitMethod(_ settings: inout some SettingVisitor, _ catalogue: RecipeCatalogue?) throws {
    try settings.value("method", &method.name, catalogue.map { .named($0.methods.map(\.name)) } ?? .none)
    if let place = catalogue?.methods.firstIndex(where: { $0.name == method.name }),
      let entry = catalogue?.methods[place]
    {
      (method.host, method.options, method.place) = (entry.host, entry.options, place)
    }
    try visitOptions(&settings)
    objectives.catalogue = catalogue?.methods ?? []
    try settings.group("objectives", &objectives)
  }

  private mutating func visitOptions(_ settings: inout some SettingVisitor) throws {
    func visit<Options: MethodOptions>(_ options: Options, _ settings: inout some SettingVisitor) throws -> Options {
      var options = options
      try settings.group("methodOptions", &options)
      return options
    }
    method.options = try visit(method.options, &settings)
  }
}

/// The names a recipe may use, given by the composition root from the catalogues of the floors below.
public struct RecipeCatalogue: Sendable {
  /// Methods.
  public var methods: [MethodEntry]
  /// Names of encoders.
  public var encoders: [String]
  /// Kinds of data set.
  public var dataSets: [String]
  /// Built-in class sets and their numbers of classes.
  public var classSets: [String: Int]
  /// Names of built-in maps from the ids in label files to train ids.
  public var labelMaps: [String]

  /// A catalogue.
  public init(
    methods: [MethodEntry], encoders: [String], dataSets: [String], classSets: [String: Int], labelMaps: [String]
  ) {
    self.methods = methods
    self.encoders = encoders
    self.dataSets = dataSets
    self.classSets = classSets
    self.labelMaps = labelMaps
  }
}

extension Recipe {
  /// How gradients are summed over ranks.
  public enum Reduction: String, SettingChoice {
    /// The fixed binary tree: the same bits for every rank count.
    case reproducible
    /// The MPI library's own sum; gives up equality over rank counts.
    case native
    /// The fixed tree with two-byte floating point between ranks; gives up equality over rank counts.
    case bf16

    /// What adds them.
    package var method: ReductionMethod {
      switch self {
      case .reproducible: .reproducible
      case .native: .native
      case .bf16: .bf16
      }
    }
  }

  /// The adaptation method.
  public struct Method: Sendable, Equatable {
    /// Name in the catalogue.
    public var name = "hrda"
    /// How it trains, by its catalogue entry.
    public var host = Host.selfTraining
    /// The method's own options (`methodOptions`), of the type that its catalogue entry has.
    public var options: any MethodOptions = NoOptions()
    /// Its line of the catalogue, from 0.
    var place = 0

    /// HRDA.
    public init() {}

    /// Same name, same type of options and equal options.
    public static func == (first: Method, second: Method) -> Bool {
      first.name == second.name && areEqual(first.options, second.options)
    }
  }
}

extension Limit where Value == String {
  /// One of the names.
  static func named(_ names: [String]) -> Limit {
    Limit(": one of \(names.joined(separator: ", "))", candidates: names) { names.contains($0) }
  }
}
