// Public data sets as they are unpacked: every layout as a small tree, and what is said where one does not fit.

import Domains
import Foundation
import Imagery
import Support
import Tensors
import Testing

@Suite struct PublicLayoutTests {
  private let image = RGBImage(height: 2, width: 3, pixels: (0..<18).map { UInt8($0) })

  /// A set as it lies on the disk: images with label ids of two pixels' rows, and the train ids that they must become.
  struct Tree: Sendable, CustomTestStringConvertible {
    let kind: String
    var split: String?
    var condition: String?
    let files: [String]
    let ids: [UInt8]
    let trainIds: [UInt8]
    let others: [String]
    var testDescription: String { "\(kind) \(split ?? "") \(condition ?? "")" }
  }

  static let trees = [
    Tree(
      kind: "cityscapes",
      files: [
        "leftImg8bit/train/aachen/aachen_0_leftImg8bit.png", "gtFine/train/aachen/aachen_0_gtFine_labelIds.png",
      ], ids: [7, 33, 0], trainIds: [0, 18, 255],
      others: ["leftImg8bit/val/ulm/ulm_0_leftImg8bit.png", "gtFine/train/aachen/aachen_0_gtFine_color.png"]),
    Tree(
      kind: "cityscapes", split: "val",
      files: [
        "leftImg8bit/val/ulm/ulm_0_leftImg8bit.png", "gtFine/val/ulm/ulm_0_gtFine_labelIds.png",
      ], ids: [8, 11, 12], trainIds: [1, 2, 3], others: ["leftImg8bit/train/x/x_0_leftImg8bit.png"]),
    Tree(
      kind: "gta5", files: ["images/00001.png", "labels/00001.png"], ids: [26, 34, 24], trainIds: [13, 255, 11],
      others: []),
    Tree(
      kind: "synthia", files: ["RGB/0000000.png", "GT/LABELS/0000000.png"], ids: [3, 22, 15], trainIds: [0, 255, 6],
      others: ["GT/COLOR/0000000.png"]),
    Tree(
      kind: "synthia", files: ["RAND_CITYSCAPES/RGB/0.png", "RAND_CITYSCAPES/GT/LABELS/0.png"], ids: [21, 1, 12],
      trainIds: [3, 10, 17], others: []),
    Tree(
      kind: "acdc",
      files: [
        "rgb_anon/fog/train/GOPR0475/a_rgb_anon.png", "gt/fog/train/GOPR0475/a_gt_labelIds.png",
      ], ids: [7, 8, 0], trainIds: [0, 1, 255],
      others: ["rgb_anon/night/val/GOPR0351/b_rgb_anon.png", "gt/night/val/GOPR0351/b_gt_labelIds.png"]),
    Tree(
      kind: "acdc", split: "val", condition: "night",
      files: [
        "rgb_anon/night/val/GOPR0351/b_rgb_anon.png", "gt/night/val/GOPR0351/b_gt_labelIds.png",
      ], ids: [23, 24, 25], trainIds: [10, 11, 12],
      others: ["rgb_anon/fog/val/GOPR0476/c_rgb_anon.png", "gt/fog/val/GOPR0476/c_gt_labelIds.png"]),
    Tree(
      kind: "dark-zurich", split: "val",
      files: [
        "rgb_anon/val/night/GOPR0356/d_rgb_anon.png", "gt/val/night/GOPR0356/d_gt_labelIds.png",
      ], ids: [7, 21, 26], trainIds: [0, 8, 13], others: ["rgb_anon/train/day/GOPR0345/e_rgb_anon.png"]),
    Tree(
      kind: "bdd100k", split: "val", files: ["images/10k/val/a-b.jpg", "labels/sem_seg/masks/val/a-b.png"],
      ids: [0, 18, 255], trainIds: [0, 18, 255], others: []),
    Tree(
      kind: "bdd100k", files: ["seg/images/train/a.jpg", "seg/labels/train/a_train_id.png"], ids: [5, 6, 255],
      trainIds: [5, 6, 255], others: []),
    Tree(
      kind: "mapillary", split: "val", files: ["validation/images/q.jpg", "validation/labels/q.png"],
      ids: [24, 58, 65], trainIds: [0, 16, 255], others: ["training/images/r.jpg"]),
    Tree(
      kind: "mapillary", files: ["training/images/q.jpg", "training/v1.2/labels/q.png"], ids: [2, 22, 29],
      trainIds: [1, 12, 9], others: ["training/v2.0/labels/q.png"]),
    Tree(
      kind: "idd", files: ["leftImg8bit/train/0/5_leftImg8bit.png", "gtFine/train/0/5_gtFine_labelcsTrainIds.png"],
      ids: [0, 9, 255], trainIds: [0, 9, 255], others: []),
    Tree(
      kind: "camvid", split: "test", files: ["test/a.png", "testannot/a.png"], ids: [0, 10, 11],
      trainIds: [10, 12, 255], others: []),
    Tree(
      kind: "camvid", files: ["train/images/a.png", "train/labels/a.png"], ids: [3, 4, 8], trainIds: [0, 1, 13],
      others: []),
  ]

  private func write(_ tree: Tree, in folder: TemporaryFolder) throws {
    for path in tree.files + tree.others {
      _ = try folder.folder((path as NSString).deletingLastPathComponent)
      let place = folder.file(path)
      if path.hasSuffix(".jpg") {
        try writeFile(encodeJPEG(image, quality: 90), to: place)
      } else if path == tree.files[1] {
        try writePNG(LabelMap(height: 2, width: 3, values: tree.ids + tree.ids), to: place)
      } else {
        try writePNG(image, to: place)
      }
    }
  }

  @Test(arguments: trees) func isReadAsItWasUnpacked(_ tree: Tree) throws {
    let folder = try TemporaryFolder()
    try write(tree, in: folder)
    let set = try makeDataset(
      DatasetSpecification(
        kind: tree.kind, labels: folder.path, root: folder.path, split: tree.split, condition: tree.condition),
      classes: .cityscapes19)
    #expect(set.count == 1)
    #expect(try set.labels(0)?.values == tree.trainIds + tree.trainIds)
    let unlabelled = try makeDataset(
      DatasetSpecification(kind: tree.kind, root: folder.path, split: tree.split, condition: tree.condition),
      classes: .cityscapes19)
    #expect(try unlabelled.count == 1 && unlabelled.labels(0) == nil)
  }

  @Test func coloursOfCamVidBecomeItsElevenClasses() throws {
    let folder = try TemporaryFolder()
    _ = try (folder.folder("701_StillsRaw_full"), folder.folder("LabeledApproved_full"))
    try writePNG(image, to: folder.file("701_StillsRaw_full/0001TP_006690.png"))
    // Road, lane marking and void; truck or bus, train and archway.
    let colours: [UInt8] = [128, 64, 128, 128, 0, 192, 0, 0, 0, 192, 128, 192, 192, 64, 128, 192, 0, 128]
    try writePNG(
      RGBImage(height: 2, width: 3, pixels: colours), to: folder.file("LabeledApproved_full/0001TP_006690_L.png"))
    let given = DatasetSpecification(kind: "camvid", labels: folder.path, root: folder.path)
    #expect(try makeDataset(given, classes: .camvid11).labels(0)?.values == [3, 3, 255, 8, 8, 1])
    #expect(try makeDataset(given, classes: .camvidAsCityscapes19).labels(0)?.values == [0, 0, 255, 13, 13, 2])
  }

  /// Patterns of the recipe choose among the images of the split.
  @Test func ownPatternsChooseWithinTheSplit() throws {
    let folder = try TemporaryFolder()
    for tree in PublicLayoutTests.trees where tree.kind == "acdc" { try write(tree, in: folder) }
    let given = DatasetSpecification(
      kind: "acdc", selection: FileSelection(patterns: ["fog/**", "night/**"]), root: folder.path, split: "val")
    let set = try makeDataset(given, classes: .cityscapes19)
    #expect((0..<set.count).map(set.name) == ["fog/val/GOPR0476/c", "night/val/GOPR0351/b"])
    let tree = PublicLayoutTests.trees[0]
    try write(tree, in: folder)
    let old = DatasetSpecification(kind: "camvid", root: folder.path, split: "val")
    _ = try (folder.folder("701_StillsRaw_full"), folder.folder("LabeledApproved_full"))
    #expect(failure { _ = try makeDataset(old, classes: .camvid11) }?.what.hasPrefix("camvid has no splits in") == true)
  }

  @Test func ownMapAndLabelSuffixReplaceThoseOfTheKind() throws {
    let folder = try TemporaryFolder()
    let tree = PublicLayoutTests.trees[0]
    try write(tree, in: folder)
    try writePNG(
      LabelMap(height: 2, width: 3, values: [0, 1, 2, 3, 4, 255]),
      to: folder.file("gtFine/train/aachen/aachen_0_gtFine_labelTrainIds.png"))
    let set = try makeDataset(
      DatasetSpecification(
        kind: "cityscapes", labels: folder.path, labelSuffix: "_gtFine_labelTrainIds", map: .identity(classCount: 19),
        root: folder.path), classes: .cityscapes19)
    #expect(try set.labels(0)?.values == [0, 1, 2, 3, 4, 255])
  }

  @Test func whatDoesNotFitSaysWhatWould() throws {
    let folder = try TemporaryFolder()
    try write(PublicLayoutTests.trees[0], in: folder)
    func met(_ kind: String, split: String? = nil, condition: String? = nil, classes: ClassSet = .cityscapes19)
      -> Failure?
    {
      failure {
        _ = try makeDataset(
          DatasetSpecification(
            kind: kind, labels: folder.path, root: folder.path, split: split, condition: condition), classes: classes)
      }
    }
    let split = met("cityscapes", split: "tran")
    #expect(split?.status == .badData && split?.remedy?.hasPrefix("did you mean train?") == true)
    #expect(met("cityscapes", condition: "fog")?.remedy == "leave condition out")
    #expect(met("acdc", condition: "mist")?.remedy?.contains("fog") == true)
    #expect(met("gta5", split: "val")?.remedy == "leave split out")
    let elsewhere = met("gta5")
    #expect(elsewhere?.status == .missingInput && elsewhere?.what.contains("/images and ") == true)
    #expect(met("cityscapes", classes: .camvid11)?.what.contains("not known in the classes of camvid11") == true)
    #expect(met("cityscape")?.remedy?.contains("did you mean cityscapes?") == true)
  }

  /// The table of SYNTHIA against the one that DAFormer's conversion publishes, class by class.
  @Test func synthiaIsMappedByName() throws {
    let names = [
      1: "sky", 2: "building", 3: "road", 4: "sidewalk", 5: "fence", 6: "vegetation", 7: "pole", 8: "car",
      9: "traffic sign", 10: "person", 11: "bicycle", 12: "motorcycle", 15: "traffic light", 16: "terrain", 17: "rider",
      18: "truck", 19: "bus", 20: "train", 21: "wall",
    ]
    let map = try LabelIdMap.named("synthia-ids", classCount: 19)
    for id in 0..<23 {
      let train = try #require(map.trainIds[id])
      #expect(names[id] == (train == 255 ? nil : ClassSet.cityscapes19.names[Int(train)]))
    }
    #expect(map.trainIds[23] == nil && map.trainIds[255] == nil)
  }
}
