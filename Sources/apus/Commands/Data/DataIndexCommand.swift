// `apus data index` and `apus data statistics`: class pixels of a labelled data set.

import ArgumentParser
import Collectives
import Domains
import Foundation
import Imagery
import Support
import Training

/// The options that name a labelled data set.
struct LabelledSetOptions: ParsableArguments {
  @Option(help: "Folder of images.")
  var images: String?

  @Option(help: "Folder of labels, paired with the images by stem.")
  var labels: String?

  @Option(help: "End of image stems that label stems lack, such as _leftImg8bit.")
  var imageSuffix = ""

  @Option(help: "End of label stems that image stems lack, such as _gtFine_labelIds.")
  var labelSuffix = ""

  @Option(help: "Class set: \(ClassSet.builtIn.map(\.name).joined(separator: ", ")).")
  var classes = ClassSet.cityscapes19.name

  @Option(help: "Label map: \(LabelIdMap.names.joined(separator: ", ")); default: that of the class set.")
  var map: String?

  @Option(help: "Procedural scenes instead of files: source or target.")
  var domain: String?

  @Option(help: "Number of procedural scenes.")
  var count = 1000

  @Option(help: "Size of procedural scenes, WIDTHxHEIGHT.")
  var size = "512x256"

  @Option(help: "Seed of procedural scenes.")
  var seed: UInt64 = 0

  @Option(help: "Most pixels that an image file may have.")
  var pixelLimit = standardPixelLimit

  @Option(help: "Threads; default: APUS_THREADS, or all cores.")
  var threads: Int?

  func validate() throws {
    guard (domain == nil) != (images == nil && labels == nil) else {
      throw ValidationError("give either --images and --labels, or --domain")
    }
    guard domain != nil || (images != nil && labels != nil) else {
      throw ValidationError("--images and --labels belong together")
    }
    guard PixelSize(size) != nil else { throw ValidationError("--size \(size): expected WIDTHxHEIGHT") }
    guard count > 0 else { throw ValidationError("--count must be positive") }
    guard pixelLimit > 0 else { throw ValidationError("--pixel-limit must be positive") }
    guard threads.map({ $0 > 0 }) ?? true else { throw ValidationError("--threads must be positive") }
  }

  /// The class set and the data set, on a worker pool of the threads asked for.
  func make() throws -> (classes: ClassSet, dataset: any Dataset) {
    let set = try ClassSet.named(classes)
    try setUpMachine(threads: try threads ?? environmentThreads(), on: SoloCommunicator())
    if let domain, let size = PixelSize(size) {
      let specification = DatasetSpecification.procedural(domain: domain, count: count, size: size, seed: seed)
      return (set, try makeDataset(specification, classes: set))
    }
    let specification = DatasetSpecification(
      kind: "folder", images: images ?? "", labels: labels, imageSuffix: imageSuffix, labelSuffix: labelSuffix,
      map: try map.map { try LabelIdMap.named($0, classCount: set.count) }, cacheBytes: 0, pixelLimit: pixelLimit)
    let dataset = try makeDataset(specification, classes: set)
    let faults = dataset.faults(Array(0..<dataset.count)).map { (set: "", fault: $0) }
    // Nothing else is written here, so that the line itself names many.
    if let failure = failure(of: faults, among: dataset.count, named: 50, list: nil) { throw failure }
    return (set, dataset)
  }
}

/// Counts the class pixels of every image and writes them to a file, which `data statistics --index` and
/// `train --class-index` read. Training keeps a file of the same form in its run directory.
struct DataIndexCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "index",
    abstract: "Count class pixels of every image into a file for data statistics and train --class-index.")

  @OptionGroup var set: LabelledSetOptions

  @Option(help: "The index file to write (JSON).")
  var output: String

  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  /// What `--json` prints.
  private struct Report: Encodable {
    let output: String
    let images: Int
    let classes: Int
    let digest: String
    let seconds: Double
  }

  func run() throws { try runAlone { try index() } }

  private func index() throws -> ExitStatus {
    let watch = Stopwatch()
    let (classes, dataset) = try set.make()
    let statistics = try ClassCounting { say($0, json: json) }.count(dataset, classes.count, on: SoloCommunicator())
    try statistics.save(to: output)
    if let inventory = dataset.inventory { say("\(inventory)", json: json) }
    let report = Report(
      output: output, images: dataset.count, classes: classes.count, digest: statistics.digest, seconds: watch.seconds)
    say(
      "\(output): \(report.images) images, \(report.classes) classes, digest \(report.digest)", json: json)
    if json { print(try jsonLine(report)) }
    return .done
  }
}

/// Shows class shares, image sizes and the probabilities of rare class sampling.
struct DataStatisticsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "statistics", abstract: "Class shares, image sizes and rare class probabilities of a data set.")

  @OptionGroup var set: LabelledSetOptions

  @Option(help: "An index file of this set, instead of counting anew.")
  var index: String?

  @Option(help: "Temperature of rare class sampling.")
  var temperature = 0.01

  @Option(help: "Pixels of a class above which an image serves it.")
  var minimumPixels = 3000

  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  /// What `--json` prints; shares and probabilities are 0...1.
  private struct Report: Encodable {
    struct Class: Encodable {
      let name: String
      let pixels: Int
      let share: Double
      let images: Int
      let imagesAboveMinimum: Int
      let probability: Double
    }
    let images: Int
    let sizes: [String: Int]
    let ignoredShare: Double
    let digest: String
    let temperature: Double
    let minimumPixels: Int
    let classes: [Class]
  }

  func validate() throws {
    guard temperature > 0 else { throw ValidationError("--temperature must be positive") }
  }

  func run() throws {
    try runAlone {
      let (classes, dataset) = try set.make()
      let report = try report(classes, dataset)
      tell(report)
      if json { print(try jsonLine(report)) }
      return .done
    }
  }

  private func report(_ classes: ClassSet, _ dataset: any Dataset) throws -> Report {
    let statistics =
      try index.map { try ClassStatistics(contentsOf: $0) }
      ?? ClassCounting { say($0, json: json) }.count(dataset, classes.count, on: SoloCommunicator())
    try statistics.check(against: dataset, classCount: classes.count, place: index ?? "counts")
    let totals = statistics.totals
    let labelled = totals.reduce(0, +)
    guard labelled > 0 else {
      throw Failure(.badData, "no pixel is labelled", at: set.labels, remedy: "check --classes and --map")
    }
    let ignored = statistics.ignored.reduce(0, +)
    let probabilities = rareClassProbabilities(pixels: totals, temperature: temperature)
    let sizes = try (0..<dataset.count).map { try dataset.size($0).description }
    return Report(
      images: dataset.count, sizes: Dictionary(sizes.map { ($0, 1) }, uniquingKeysWith: +),
      ignoredShare: Double(ignored) / Double(labelled + ignored), digest: statistics.digest, temperature: temperature,
      minimumPixels: minimumPixels,
      classes: classes.names.enumerated().map { label, name in
        Report.Class(
          name: name, pixels: totals[label], share: statistics.shares[label],
          images: statistics.images(of: label, moreThan: 0).count,
          imagesAboveMinimum: statistics.images(of: label, moreThan: minimumPixels).count,
          probability: probabilities[label])
      })
  }

  private func tell(_ report: Report) {
    func row(_ name: String, _ columns: [String]) {
      let padded = columns.map { String(repeating: " ", count: max(0, 12 - $0.count)) + $0 }
      say(name.padding(toLength: 16, withPad: " ", startingAt: 0) + padded.joined(), json: json)
    }
    func percent(_ value: Double) -> String { String(format: "%.3f", 100 * value) }
    row("class", ["pixels", "share %", "images", "> \(report.minimumPixels)", "drawn %"])
    for entry in report.classes {
      row(
        entry.name,
        [
          "\(entry.pixels)", percent(entry.share), "\(entry.images)", "\(entry.imagesAboveMinimum)",
          percent(entry.probability),
        ])
    }
    let sizes = report.sizes.sorted { $0.key < $1.key }.map { "\($0.value) of \($0.key)" }.joined(separator: ", ")
    say("\(report.images) images (\(sizes)), \(percent(report.ignoredShare)) % of pixels ignored", json: json)
    say("digest \(report.digest)", json: json)
  }
}
