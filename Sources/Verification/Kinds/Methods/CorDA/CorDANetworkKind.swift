// The multi-task head of CorDA (Wang et al., ICCV 2021): 06-corda-network.h5. N samples, K classes.

import Autograd
import Kernels
import Networks
import Tensors

/// Stems, correlation and heads behind a trunk, forward, back and one step of the optimizer.
enum DepthGuidedNetworkKind: Kind {
  static let stems = ["network"]
  private static let prefix = "head"
  /// The file's names of the head's maps.
  private static let maps = [
    "Si": DepthGuidedHead.initial, "D": DepthGuidedHead.depth, "Di": DepthGuidedHead.initialDepth,
    "Dsrc": DepthGuidedHead.sourceDepth, "Dsrci": DepthGuidedHead.initialSourceDepth,
  ]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let trunk = try replay.input("trunk")
    let (head, parameters) = try head(replay, channels: trunk.value.channels, samples: trunk.value.samples)
    let context = replay.context(samples: trunk.value.samples)
    let output = try head([trunk], context)
    for (name, map) in outputs(output) {
      let cotangent = try replay.map("cotangent/\(name)")
      guard cotangent.shape == map.value.shape else { throw fixture.bad(group, "cotangent \(cotangent.shape)") }
      try verifier.element(replay.path("out/\(name)"), map.value)
      map.cell?.accumulate(cotangent)
    }
    try replay.compareGradients(into: &verifier)
    try compareDescent(parameters, replay, into: &verifier, name)
    if !fixture.names(under: replay.path("out")).contains("withoutCorrelation") { return }
    let (simple, _) = try Self.head(
      replay, channels: trunk.value.channels, samples: trunk.value.samples, correlates: false)
    let untaped = try TermReplay(group, fixture).context(samples: trunk.value.samples)
    let plain = try simple([Variable(constant: trunk.value)], untaped)
    for (name, map) in outputs(plain) where ["S", "D", "Dsrc"].contains(name) {
      try verifier.element(replay.path("out/withoutCorrelation/\(name)"), map.value)
    }
  }

  private static func outputs(_ output: HeadOutput) -> [(name: String, map: Variable)] {
    [("S", output.logits)]
      + maps.sorted { $0.key < $1.key }.compactMap { name, map in output.maps[map].map { (name, $0) } }
  }

  /// The head with the parameters of the file.
  private static func head(
    _ replay: TermReplay, channels: Int, samples: Int, correlates: Bool = true
  ) throws -> (DepthGuidedHead, NetworkParameters) {
    let fixture = replay.fixture
    let classifier = try fixture.floats(replay.path("state_before/heads.S.conv2d_list.0.weight")).shape
    guard classifier.count == 4, classifier[0] > 0, classifier[1] > 0, classifier[1].isMultiple(of: 4) else {
      throw fixture.bad(replay.group, "a classifier of shape \(classifier)")
    }
    var options = HeadOptions(width: classifier[1], dilations: [6, 12], dropout: 0)
    options.guidance.correlates = correlates
    options.guidance.initialOnTrunk = replay.option("trunkHead", false)
    let registry = ParameterRegistry()
    let head = DepthGuidedHead(registry, prefix, channels: [channels], classCount: classifier[0], options)
    let parameters = NetworkParameters(registry, gradientSlots: samples, seed: 0)
    for slice in parameters.slices {
      let path = replay.path("state_before/\(name(slice.name))")
      let (values, shape) = try fixture.floats(path)
      guard shape == slice.officialShape else {
        throw fixture.bad(path, "shape \(shape) instead of \(slice.officialShape)")
      }
      parameters.load(values, named: slice.name, into: parameters.values)
    }
    return (head, parameters)
  }

  private static func name(_ parameter: String) -> String { String(parameter.dropFirst(prefix.count + 1)) }
}
