// What single settings cannot tell: whether they fit together.

import Foundation
import Networks
import Support

/// Complains about a setting at the place where it, or the nearest group around it, was given.
struct RecipeCheck {
  let file: String
  let places: [String: String]

  /// Throws a `Failure` 65 unless the condition holds.
  func require(_ condition: Bool, _ key: String, _ what: @autoclosure () -> String, remedy: String? = nil) throws {
    guard !condition else { return }
    var keys = key.split(separator: ".")
    while !keys.isEmpty, places[keys.joined(separator: ".")] == nil { keys.removeLast() }
    let place = places[keys.joined(separator: ".")] ?? file
    throw Failure(.badData, "\(key) \(what())", at: place, remedy: remedy)
  }

  /// Throws unless the name is one of `names`.
  func require(_ name: String, in names: [String], _ key: String) throws {
    let near = nearestSpelling(to: name, among: names)
    try require(
      names.contains(name), key, "is \(name); expected one of \(names.joined(separator: ", "))",
      remedy: near.map { "did you mean \($0)?" })
  }
}

extension Recipe {
  /// Throws a `Failure` 65 at the first pair of settings that do not fit together.
  func check(_ check: RecipeCheck, _ catalogue: RecipeCatalogue) throws {
    try check.require(encoder.name, in: catalogue.encoders, "encoder.name")
    try check.require(
      encoder.batchNorm == .batch || EncoderCatalogue.hasBatchNorms(encoder.name), "encoder.batchNorm",
      "is \(encoder.batchNorm.rawValue), but encoder \(encoder.name) has no batch norms", remedy: "leave it out")
    try checkHead(check)
    try checkSizes(check, try OutputGrid(networkConfiguration(classCount: 1)))
    try checkClasses(check, catalogue)
    try check.require(mix.blurSigma[0] <= mix.blurSigma[1], "mix.blurSigma", "has its least value after its greatest")
    try checkRanks(check)
    try check.require(
      network.auxiliary.weight == 0 || network.resolution != .hrda, "network.auxiliary",
      "needs one resolution, not \(network.resolution.rawValue)",
      remedy: "use network.resolution: context-only, or network.auxiliary.weight: 0")
    try check.require(
      !network.auxiliary.predicts || network.auxiliary.weight == 0 || network.auxiliary.stage == 4,
      "network.auxiliary.predicts", "is true, but the logits of stage \(network.auxiliary.stage) may have another size",
      remedy: "use network.auxiliary.stage: 4")
    try check.require(
      teacher.refresh == 0 || teacher.cache, "teacher.refresh",
      "is \(teacher.refresh), but teacher.cache keeps no pseudo-labels", remedy: "set teacher.cache to true")
    try checkData(check, catalogue)
  }

  /// How a batch may be cut over ranks and memory.
  private func checkRanks(_ check: RecipeCheck) throws {
    try check.require(
      batch.global.isMultiple(of: batch.accumulate), "batch.accumulate",
      "is \(batch.accumulate), which does not divide batch.global \(batch.global)",
      remedy: "use \((1...min(batch.accumulate, batch.global)).last { batch.global.isMultiple(of: $0) } ?? 1)")
    try check.require(
      batch.cropShards == 1 || network.resolution == .hrda, "batch.cropShards",
      "is \(batch.cropShards), but network.resolution \(network.resolution.rawValue) has one crop to share out")
    try check.require(
      !optimizer.shardMoments || reduction != .native, "optimizer.shardMoments",
      "is true, but the MPI library's own sum (reduction: native) leaves no part of it to one rank",
      remedy: "use reduction: reproducible, or optimizer.shardMoments: false")
  }

  /// What method and objectives learn from, and objectives themselves.
  private func checkData(_ check: RecipeCheck, _ catalogue: RecipeCatalogue) throws {
    try check.require(
      data.source != nil || !method.host.hasSource, "data.source", "is missing",
      remedy: "give it a kind, folder or procedural")
    try checkObjectives(check)
    try check.require(
      method.host.hasSource || initialCheckpoint != nil, "init",
      "is missing; method \(method.name) starts from a trained network")
    try checkLabels(check)
    try check.require(
      data.target != nil || !method.host.hasTarget, "data.target", "is missing; method \(method.name) learns from it")
    let looking = methodObjectives.first {
      let needs = $0.options.requirements(networkConfiguration(classCount: 1))
      return needs.needsLabels || needs.needsTarget
    }
    try check.require(
      data.target != nil || looking == nil, "data.target", "is missing; \(looking?.key ?? "") learns from it")
    try checkFewShot(check)
    for (name, set) in [
      ("source", data.source), ("target", data.target), ("validation", data.validation), ("fewShot", data.fewShot?.set),
    ] {
      if let set { try self.check(set, "data.\(name)", needsLabels: name != "target", check, catalogue) }
    }
  }

  /// Options that the head does not have are left as they are.
  private func checkHead(_ check: RecipeCheck) throws {
    try check.require(head.name, in: HeadCatalogue.names, "head.name")
    guard let entry = HeadCatalogue.entry(head.name) else { return }
    let published = entry.published
    func refuse(_ isGiven: Bool, _ key: String, _ value: String, _ owner: String = "") throws {
      try check.require(
        !isGiven, key, "is \(value), but a \(head.name) head\(owner) has no such option", remedy: "leave it out")
    }
    let hasFusion = head.name == "daformer"
    let hasDilations = entry.hasDilations(head.fusion)
    try refuse(!hasFusion && head.fusion != published.fusion, "head.fusion", head.fusion.rawValue)
    try refuse(
      !hasDilations && head.dilations != published.dilations, "head.dilations", "\(head.dilations)",
      hasFusion ? " with \(head.fusion.rawValue) fusion" : "")
    if entry.maps.isEmpty {
      try refuse(!head.guidance.correlates, "head.correlates", "false")
      try refuse(head.guidance.initialOnTrunk, "head.initialOnTrunk", "true")
    } else {
      try check.require(
        head.width.isMultiple(of: 4), "head.width", "is \(head.width), but a \(head.name) head needs a multiple of 4")
      try refuse(head.dropout != published.dropout, "head.dropout", "\(head.dropout)")
    }
    try check.require(!hasDilations || !head.dilations.isEmpty, "head.dilations", "is empty; one branch is needed")
    guard !entry.hasWidth else { return }
    try refuse(head.width != published.width, "head.width", "\(head.width)")
    try refuse(head.dropout != published.dropout, "head.dropout", "\(head.dropout)")
    try refuse(attention.width != Attention().width, "attention.width", "\(attention.width)")
  }

  private func checkSizes(_ check: RecipeCheck, _ grid: OutputGrid) throws {
    let (crop, detail) = (crop.size, network.detailCrop)
    let sizes = [("crop.size", crop), ("evaluation.crop", evaluation.crop), ("network.detailCrop", detail)]
    if network.resolution == .hrda {
      try check.require(
        detail.height <= crop.height && detail.width <= crop.width, "network.detailCrop",
        "\(detail) is larger than crop.size \(crop)")
    }
    for (name, size) in sizes {
      let sides = [size.height, size.width].map { Double($0) * network.contextScale / Double(grid.stride) }
      try check.require(
        network.resolution == .detailOnly || sides.allSatisfy { $0 == $0.rounded() }, name,
        "\(size) times network.contextScale \(network.contextScale) is not a multiple of \(grid.stride)")
    }
    // Detail windows of dense passes start at multiples of their advance, logits at multiples of the stride.
    let step = network.detailOverlap ? 2 * grid.stride : grid.stride
    for (name, size) in sizes where network.resolution != .contextOnly {
      let multiple = name == "network.detailCrop" ? step : grid.stride
      try check.require(
        size.height % multiple == 0 && size.width % multiple == 0, name,
        "\(size) is not a multiple of \(multiple), which logits at stride \(grid.stride) need")
    }
    // The first attention sums up 8 x 8 cells at stride 4; less than one summary leaves it without keys.
    let smallest = 32
    for (name, size, scale) in [
      ("crop.size", crop, network.contextScale), ("evaluation.crop", evaluation.crop, network.contextScale),
      ("network.detailCrop", detail, 1),
    ] {
      let isSeen = network.resolution != (name == "network.detailCrop" ? .contextOnly : .detailOnly)
      try check.require(
        !isSeen || Double(min(size.height, size.width)) * scale >= Double(smallest), name,
        "\(size) leaves the encoder less than \(smallest) pixels a side", remedy: "choose a larger size")
    }
    if usesFeatureDistance { try checkCells(check, grid) }
    let (window, stride) = (evaluation.crop, evaluation.stride)
    try check.require(
      stride.height <= window.height && stride.width <= window.width, "evaluation.stride",
      "\(stride) is larger than evaluation.crop \(window), which would leave gaps")
  }

  /// The feature distance compares whole cells of the coarsest feature map.
  private func checkCells(_ check: RecipeCheck, _ grid: OutputGrid) throws {
    let isDetail = network.resolution == .detailOnly
    let seen = isDetail ? network.detailCrop : crop.size
    let cell = grid.coarsestStride * (isDetail ? 1 : grid.contextReduction)
    try check.require(
      seen.height % cell == 0 && seen.width % cell == 0, isDetail ? "network.detailCrop" : "crop.size",
      "\(seen) is not a multiple of \(cell), which the feature distance needs",
      remedy: "set featureDistance.weight to 0 or change the size")
  }

  private func checkClasses(_ check: RecipeCheck, _ catalogue: RecipeCatalogue) throws {
    let count: Int
    switch classes {
    case .named(let name):
      try check.require(name, in: catalogue.classSets.keys.sorted(), "classes")
      count = catalogue.classSets[name] ?? 0
    case .listed(let names, _):
      count = names.count
    }
    if usesFeatureDistance {
      let outside = featureDistance.classes.first { $0 >= count }
      try check.require(
        outside == nil, "featureDistance.classes", "names class \(outside ?? 0), but train ids are 0 to \(count - 1)",
        remedy: "list the train ids of thing classes or set featureDistance.weight to 0")
    }
    let outside = data.fewShot?.classes.first { $0 >= count }
    try check.require(
      outside == nil, "data.fewShot.classes", "names class \(outside ?? 0), but train ids are 0 to \(count - 1)")
  }

  private func check(
    _ set: DataSet, _ key: String, needsLabels: Bool, _ check: RecipeCheck, _ catalogue: RecipeCatalogue
  ) throws {
    try check.require(set.kind, in: catalogue.dataSets, "\(key).kind")
    if case .named(let name) = set.map { try check.require(name, in: ["identity"] + catalogue.labelMaps, "\(key).map") }
    if let size = set.resize ?? (set.kind == "procedural" ? set.size : nil) {
      let margins = set.margins
      try check.require(
        margins.top + margins.bottom < size.height && margins.left + margins.right < size.width, "\(key).margins",
        "leave nothing of an image of \(size)")
    }
    try check.require(
      set.palette.count <= 255 && set.palette.allSatisfy { $0.count == 3 && $0.allSatisfy((0...255).contains) },
      "\(key).palette", "must be a list of at most 255 [red, green, blue] from 0 to 255")
    try check.require(
      set.palette.isEmpty || set.labelCode == .palette, "\(key).palette", "is given, but labels are not read by colour",
      remedy: "say labelCode: palette")
    try checkPlaces(set, key, needsLabels: needsLabels, check)
  }

  /// Where files are: a folder of images, or the root of a public set.
  private func checkPlaces(_ set: DataSet, _ key: String, needsLabels: Bool, _ check: RecipeCheck) throws {
    if set.kind == "folder" {
      try check.require(set.images != nil, "\(key).images", "is missing; a folder of images is expected")
      try check.require(
        !needsLabels || set.labels != nil, "\(key).labels", "is missing; a folder of labels is expected")
    }
    if set.isPublic {
      try check.require(
        set.root != nil, "\(key).root", "is missing; \(set.kind) needs the folder that the download was unpacked in")
      for (name, given) in [
        ("images", set.images != nil), ("labels", set.labels != nil), ("imageSuffix", !set.imageSuffix.isEmpty),
        ("depth", set.depth != nil),
      ] where given {
        try check.require(
          false, "\(key).\(name)", "is given, but kind \(set.kind) knows where its files are",
          remedy: "use root alone, or kind: folder")
      }
    } else {
      for (name, given) in [
        ("root", set.root != nil), ("split", set.split != nil), ("condition", set.condition != nil),
      ] where given {
        try check.require(
          false, "\(key).\(name)", "is given, but kind \(set.kind) has none", remedy: "name a public set as kind")
      }
    }
  }
}
