// The public data sets that recipes may name as `kind`. A new one is one entry here and one row in docs/data.md.

import Imagery
import Support
import Tensors

extension PublicLayout {
  private static let threeSplits = ["train": "train", "val": "val", "test": "test"]
  private static let trainIds: @Sendable (ClassSet) -> LabelIdMap = { .identity(classCount: $0.count) }
  private static let cityscapesIds: @Sendable (ClassSet) -> LabelIdMap = { _ in .cityscapesIds }

  /// Every layout.
  public static let all = [cityscapes, gta5, synthia, acdc, darkZurich, bdd100k, mapillary, idd, camvid]

  /// Cityscapes (Cordts et al., CVPR 2016): leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip.
  static let cityscapes = PublicLayout(
    name: "cityscapes",
    trees: [
      Tree(
        images: "leftImg8bit/{split}", labels: "gtFine/{split}", imageSuffix: "_leftImg8bit",
        labelSuffix: "_gtFine_labelIds", map: cityscapesIds)
    ],
    splits: threeSplits)

  /// GTA5 (Richter et al., ECCV 2016): all parts in two folders.
  static let gta5 = PublicLayout(
    name: "gta5", trees: [Tree(images: "images", labels: "labels", map: cityscapesIds)])

  /// SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016): labels of 16 bits, classes in the first channel.
  static let synthia = PublicLayout(
    name: "synthia",
    trees: ["", "RAND_CITYSCAPES/"].map {
      Tree(images: "\($0)RGB", labels: "\($0)GT/LABELS", code: .firstChannel, map: { _ in .synthiaIds })
    })

  /// ACDC (Sakaridis et al., ICCV 2021): rgb_anon_trainvaltest.zip and gt_trainval.zip.
  static let acdc = PublicLayout(
    name: "acdc",
    trees: [
      Tree(
        images: "rgb_anon", labels: "gt", imageSuffix: "_rgb_anon", labelSuffix: "_gt_labelIds",
        patterns: ["{condition}/{split}/**"], map: cityscapesIds)
    ],
    splits: threeSplits, conditions: ["*", "fog", "night", "rain", "snow"])

  /// Dark Zurich (Sakaridis et al., ICCV 2019): the parts "train" and "val" in one folder.
  static let darkZurich = PublicLayout(
    name: "dark-zurich",
    trees: [
      Tree(
        images: "rgb_anon", labels: "gt", imageSuffix: "_rgb_anon", labelSuffix: "_gt_labelIds",
        patterns: ["{split}/{condition}/**"], map: cityscapesIds)
    ],
    splits: ["train": "train", "val": "val"], conditions: ["night", "twilight", "day"])

  /// BDD100K (Yu et al., CVPR 2020): the 10K images, labels as train ids, in the tree of today and in that of 2018.
  static let bdd100k = PublicLayout(
    name: "bdd100k",
    trees: [
      Tree(images: "images/10k/{split}", labels: "labels/sem_seg/masks/{split}", map: trainIds),
      Tree(images: "seg/images/{split}", labels: "seg/labels/{split}", labelSuffix: "_train_id", map: trainIds),
    ],
    splits: threeSplits)

  /// Mapillary Vistas (Neuhold et al., ICCV 2017): labels of version 1.2, as they came and as version 2.0 keeps them.
  static let mapillary = PublicLayout(
    name: "mapillary",
    trees: ["labels", "v1.2/labels"].map {
      Tree(images: "{split}/images", labels: "{split}/\($0)", map: { _ in .mapillaryIds })
    },
    splits: ["train": "training", "val": "validation", "test": "testing"])

  /// India Driving Dataset (Varma et al., WACV 2019), with the labels that its own tools make with csTrainIds.
  static let idd = PublicLayout(
    name: "idd",
    trees: [
      Tree(
        images: "leftImg8bit/{split}", labels: "gtFine/{split}", imageSuffix: "_leftImg8bit",
        labelSuffix: "_gtFine_labelcsTrainIds", map: trainIds)
    ],
    splits: threeSplits)

  /// CamVid (Brostow, Fauqueur, Cipolla, PRL 2009): 11 class indices in the tree of SegNet's tutorial or in folders
  /// images and labels, or the 32 colours of the original, which has no splits.
  static let camvid = PublicLayout(
    name: "camvid",
    trees: [
      Tree(images: "{split}/images", labels: "{split}/labels", map: camvidIndices),
      Tree(images: "{split}", labels: "{split}annot", map: camvidIndices),
      Tree(
        images: "{split}", labels: "{split}_labels", labelSuffix: "_L", code: .colours(camvidColours.map(\.colour)),
        map: camvidClasses),
      Tree(
        images: "701_StillsRaw_full", labels: "LabeledApproved_full", labelSuffix: "_L",
        code: .colours(camvidColours.map(\.colour)), map: camvidClasses),
    ],
    splits: threeSplits, classNames: [ClassSet.cityscapes19.names, ClassSet.camvid11.names])

  private static let camvidIndices: @Sendable (ClassSet) -> LabelIdMap = {
    $0.names == ClassSet.camvid11.names ? .camvid11 : .camvidToCityscapes
  }

  private static let camvidClasses: @Sendable (ClassSet) -> LabelIdMap = { classes in
    camvidIndices(classes).after(
      .fixed("camvid32", camvidColours.enumerated().map { ($0, UInt8($1.index)) }))
  }

  /// The 32 colours of CamVid with the index of the 11 classes that SegNet (Badrinarayanan et al., TPAMI 2017) sorts
  /// them into; 11 is unlabelled.
  private static let camvidColours: [(colour: SIMD3<UInt8>, index: Int)] = [
    ([128, 128, 128], 0),  // sky
    ([192, 0, 128], 1), ([0, 128, 64], 1), ([128, 0, 0], 1), ([64, 0, 64], 1), ([64, 192, 0], 1),  // archway … wall
    ([192, 192, 128], 2), ([0, 0, 64], 2),  // column or pole, traffic cone
    ([128, 64, 128], 3), ([128, 0, 192], 3), ([192, 0, 64], 3),  // road and its markings
    ([0, 0, 192], 4), ([64, 192, 128], 4), ([128, 128, 192], 4),  // sidewalk, parking block, shoulder
    ([128, 128, 0], 5), ([192, 192, 0], 5),  // tree, other vegetation
    ([192, 128, 128], 6), ([128, 128, 64], 6), ([0, 64, 64], 6),  // sign, text, traffic light
    ([64, 64, 128], 7),  // fence
    ([64, 0, 128], 8), ([64, 128, 192], 8), ([192, 128, 192], 8), ([192, 64, 128], 8), ([128, 64, 64], 8),  // car …
    ([64, 64, 0], 9), ([192, 128, 64], 9), ([64, 0, 192], 9), ([64, 128, 64], 9),  // pedestrian, child, cart, animal
    ([0, 128, 192], 10), ([192, 0, 192], 10),  // bicyclist, motorcycle
    ([0, 0, 0], 11),  // void
  ]
}
