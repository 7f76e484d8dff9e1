// The catalogue: which code repeats which part of a reference file. What a part is, is read from its names; files of
// methods are known by their own name too, because equal parts of two of them may be two kinds. To add a kind: one file,
// one line here.

import Foundation
import Support

/// A kind of group, told by the beginning of its name: `attention_sr8` and `attention_sr1` are of the stem `attention`.
public protocol Kind: SendableMetatype {
  /// What the names of its groups begin with; the end of the name, an underscore or a digit follows.
  static var stems: [String] { get }

  /// Computes what the group holds and compares it.
  /// - Throws: what stands in the way of computing it; it becomes a failed item.
  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws
}

/// A kind of file, told by which datasets there are; it may be part of a file.
public protocol FileKind: SendableMetatype {
  /// Names at the top of the file that this kind answers for; none if the file is of another kind.
  static func names(in fixture: Fixture) -> Set<String>

  /// Computes what the file holds and compares it.
  /// - Throws: what stands in the way of computing it; it becomes a failed item.
  static func verify(_ fixture: Fixture, into verifier: inout Verifier) throws
}

/// All kinds.
public enum Kinds {
  /// Kinds of groups.
  static let groups: [any Kind.Type] = [
    LayerNormKind.self,
    GELUKind.self,
    LinearKind.self,
    SoftmaxKind.self,
    AttentionKind.self,
    FeedForwardKind.self,
    BlockKind.self,
    PatchEmbeddingKind.self,
    ConvolutionKind.self,
    DepthwiseConvolutionKind.self,
    BilinearKind.self,
    BatchNormKind.self,
    CrossEntropyKind.self,
    FeatureDistanceKind.self,
    FusionKind.self,
    AdamWKind.self,
    DropPathKind.self,
    ChannelDropoutKind.self,
    FormulaWeightsKind.self,
    ImageKind.self,
    ColourSpaceKind.self,
    SingleJitterKind.self,
    JitterKind.self,
    BlurKind.self,
    PseudoLabelKind.self,
    ClassMaskKind.self,
    BlockMaskKind.self,
    LearningRateKind.self,
    TeacherMomentumKind.self,
    RareClassKind.self,
    WindowsKind.self,
    MarginsKind.self,
  ]

  /// Kinds of files.
  static let files: [any FileKind.Type] = [
    WeightsKind.self, EncoderKind.self, NetworkKind.self, StepsKind.self, AlignmentStepKind.self, CategoryStepKind.self,
    DACSStepKind.self,
  ]

  /// Kinds of groups in files of methods, by the name of the file without its extension.
  static let methods: [String: [any Kind.Type]] = [
    "05-diga": [
      MixedViewKind.self, CrossMixKind.self, AllPixelsKind.self, HardPixelsKind.self, DistillationKind.self,
      DiGAStepKind.self, TwoSizesKind.self, ConsensusKind.self, CentroidMoveKind.self, CentroidStartKind.self,
      DelayedRateKind.self, StartOfStepAverageKind.self,
    ],
    "05-diga-translator": [LabelEdgeKind.self],
    "06-corda": [
      LabelledCrossEntropyKind.self, DepthLossKind.self, DifficultyKind.self, DepthUnitsKind.self,
      EndOfStepAverageKind.self, DepthGuidedStepKind.self,
    ],
    "06-corda-network": [DepthGuidedNetworkKind.self],
    "09-tada": [
      LabelSharesKind.self, RelabellingKind.self, BilateralKind.self, CellNumbersKind.self, AnchorsKind.self,
      AnchorContrastKind.self, ProjectionKind.self, TaxonomyStepKind.self, EndOfStepAverageKind.self,
    ],
    "08-crda": [RelationKind.self, RelationGradientKind.self],
    "11-spcl": [
      PrototypeContrastKind.self, PrototypeMoveKind.self, InitialPrototypesKind.self, TemperedLossKind.self,
      FeatureMaskKind.self, ContrastStepKind.self, ThresholdsKind.self, StageRateKind.self, WarmUpKind.self,
    ],
    "12-proca": [
      MeanContrastKind.self, RunningMeansKind.self, SupervisedKind.self, ConfidentLabelsKind.self, MeanStepKind.self,
      ThresholdsKind.self, StageRateKind.self, BankKind.self,
    ],
    "16-advent": [
      EntropyKind.self, InformationKind.self, InformationAdversaryKind.self, InformationDiscriminatorKind.self,
      ClassPriorKind.self, RankedEntropyKind.self, EnsembleKind.self,
    ],
    "18-clan": [
      FocalKind.self, DisagreementKind.self, WeightedDomainLossKind.self, CategoryAdversaryKind.self,
      CategoryDiscriminatorKind.self, WeightDiscrepancyKind.self, CategoryScheduleKind.self,
    ],
    "20-camix": [
      SignificanceLimitKind.self, NoisyCopiesKind.self, SignificanceKind.self, CompanionClassesKind.self,
      ContextMaskKind.self, ContextMixKind.self, SignificantLossKind.self, ContextStepKind.self, SpatialPriorKind.self,
    ],
    "22-adaptsegnet": [
      DiscriminatorKind.self, TwoHeadsKind.self, OutputAdversaryKind.self, OutputDiscriminatorKind.self,
    ],
    "02-dg": [HallucinationKind.self, BaseStylesKind.self, ConsistencyKind.self, GeneralisedSourceKind.self],
    "04-cluda": [
      SingleContrastKind.self, DoubleContrastKind.self, ContrastChainKind.self, FusionOrderKind.self,
      EntropyBoxKind.self, ResolutionWeightKind.self,
    ],
    "10-ehtdi": [
      EHTDISourceKind.self, ClassPoolKind.self, TargetViewsKind.self, MatchingKind.self, TwoLevelContrastKind.self,
      TargetLossKind.self, EvaluatedAverageKind.self,
    ],
    "10-ehtdi-edge": [BorderKind.self, EdgeKind.self],
    "22-dacs": [
      DACSLabelKind.self, ClassMixKind.self, MixedLossKind.self, SourceLossKind.self, FollowingKind.self,
      DACSScheduleKind.self,
    ],
  ]

  /// Kinds of groups that a file may have: one that begins with a method's number is read as that method's, of which
  /// nothing may be known.
  static func groups(of path: String) -> [any Kind.Type]? {
    let name = URL(filePath: path).deletingPathExtension().lastPathComponent
    guard name.prefixMatch(of: /\d\d-/) != nil else { return nil }
    return methods[name] ?? []
  }

  /// The kind of a group: of all whose stem the name begins with, the one with the longest stem.
  static func group(_ name: String, among kinds: [any Kind.Type] = groups) -> (any Kind.Type)? {
    let matches = kinds.flatMap { kind in kind.stems.filter { begins(name, with: $0) }.map { ($0, kind) } }
    return matches.max { $0.0.count < $1.0.count }?.1
  }

  private static func begins(_ name: String, with stem: String) -> Bool {
    guard name.hasPrefix(stem) else { return false }
    guard let next = name.dropFirst(stem.count).first else { return true }
    return next == "_" || next.isNumber
  }
}

/// Repeats everything a reference file holds and compares it.
///
/// Every dataset has to be used, as input or for comparison: one that no kind knows is an item that failed, and so is a kind that
/// could not be computed.
/// - Parameters:
///   - fixture: the reference file.
///   - tolerance: factor of every allowed error.
public func verify(_ fixture: Fixture, tolerance: Double = 1) -> VerifiedFile {
  var verifier = Verifier(fixture, tolerance: tolerance)
  var rest = fixture.names()
  func attempt(_ names: [String], _ label: String, _ body: (inout Verifier) throws -> Void) {
    do {
      try body(&verifier)
      for path in names.flatMap({ fixture.unread(at: $0) }) { verifier.unknown(path) }
    } catch {
      verifier.failed(label, (error as? Failure)?.description ?? String(describing: error))
    }
  }
  for kind in Kinds.files {
    let names = rest.filter(kind.names(in: fixture).contains)
    guard !names.isEmpty else { continue }
    rest.removeAll(where: names.contains)
    attempt(names, names.joined(separator: ", ")) { try kind.verify(fixture, into: &$0) }
  }
  let groups = Kinds.groups(of: fixture.file.path) ?? Kinds.groups
  for name in rest {
    guard let kind = Kinds.group(name, among: groups), !fixture.contains(name) else {
      verifier.unknown(name)
      continue
    }
    attempt([name], name) { try kind.verify(group: name, fixture, into: &$0) }
  }
  return VerifiedFile(file: fixture.file.path, items: verifier.items)
}
