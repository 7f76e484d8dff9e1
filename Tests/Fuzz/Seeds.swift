// A few sound files for each fuzz driver, each with the driver's first byte in front. Part of every driver: run with
// FUZZ_SEEDS=FOLDER, it writes them there and stops.

import Foundation
import Imagery
import Tensors

/// Called by libFuzzer once, before anything else.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(_: UnsafeMutableRawPointer?, _: UnsafeMutableRawPointer?) -> CInt {
  guard let folder = ProcessInfo.processInfo.environment["FUZZ_SEEDS"] else { return 0 }
  do {
    try Seeds.writeAll(to: folder)
    exit(0)
  } catch { fatalError("\(error)") }
}

enum Seeds {
  static func writeAll(to folder: String) throws {
    let storages = [bytes([1, 2]), bytes([1, 2, 3, 4, 5, 6, 7, 8])]
    let first = Pickle.tensor(Pickle.storage("0", 2), shape: [2], strides: [1])
    let second = Pickle.tensor(Pickle.storage("1", 8), offset: 1, shape: [3, 2], strides: [1, 3])
    let half = Pickle.tensor(Pickle.storage("1", 16, type: "HalfStorage"), shape: [4, 4], strides: [4, 1])
    let parameter = Pickle.call(
      Pickle.global("torch._utils", "_rebuild_parameter"),
      Pickle.tuple(first, [0x88], Pickle.call(Pickle.global("collections", "OrderedDict"), Pickle.tuple())))
    let plain = Pickle.dictionary([("a", first), ("b.weight", second)])
    let pickles = [
      plain, Pickle.dictionary([("state_dict", plain), ("meta", Pickle.list(Pickle.text("x"), Pickle.integer(3)))]),
      Pickle.dictionary([("model", Pickle.dictionary([("h", half), ("p", parameter)]))]),
      Pickle.dictionary([
        ("s", Pickle.call(Pickle.global("builtins", "set"), Pickle.tuple(Pickle.list(Pickle.text("q"))))),
        ("a", first),
      ]),
    ]
    var torch: [[UInt8]] = []
    for pickle in pickles {
      torch.append([0] + Zip.checkpoint(pickle, storages).bytes)
      torch.append([1] + Pickle.whole(pickle))
    }
    let old = Pickle.dictionary([
      ("a", Pickle.tensor(Pickle.storage("7", 2, legacy: true), shape: [2], strides: [1]))
    ])
    torch.append([2] + legacyCheckpoint(old, [("7", 2, bytes([1, 2]))]).dropFirst(15))
    try write(torch, to: "\(folder)/torch")
    let entry = "{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]}"
    let types = ["F64", "F16", "BF16", "I64", "U8", "BOOL", "I32"].map {
      "{\"x\\u00e9\":{\"dtype\":\"\($0)\",\"shape\":[1],\"data_offsets\":[0,8]}}"
    }
    let headers = ["{}", "{\"__metadata__\":{\"format\":\"pt\"},\"a\":\(entry)}"] + types
    let data = bytes([1, 2])
    try write(
      headers.map { [0] + Array($0.utf8) + [10] + data } + headers.map { [1] + safetensors($0, data: data) },
      to: "\(folder)/safetensors")
    let grey = encodePNG(grey: (0..<35).map { UInt8($0) }, height: 5, width: 7)
    let labels = encodePNG(LabelMap(height: 2, width: 3, values: [0, 1, 2, 255, 4, 5]))
    try write([[0] + grey, [1] + grey, [0] + labels], to: "\(folder)/labels")
    try writePictures(to: folder)
    try writeSettings(to: folder)
  }

  private static func writePictures(to folder: String) throws {
    let image = RGBImage(height: 24, width: 17, pixels: (0..<24 * 17 * 3).map { UInt8(truncatingIfNeeded: $0 * $0) })
    let grey = encodePNG(grey: (0..<35).map { UInt8($0) }, height: 5, width: 7)
    try write([[0] + encodePNG(image), [1] + encodePNG(image), [0] + grey], to: "\(folder)/png")
    try write([20, 75, 95].map { encodeJPEG(image, quality: $0) }, to: "\(folder)/jpeg")
  }

  private static func writeSettings(to folder: String) throws {
    let recipes = [
      "name: a\nmethod: hrda\nseed: 7\nbatch: {global: 4}\nencoder: {name: tiny, dropPath: 0.2}\n",
      "crop: {size: 64x64}\nnetwork:\n  detailCrop: 32x32\n  contextScale: 0.5\nteacher: {momentum: 0.9, refresh: 3}\n",
      "method: mic\nmethodOptions: {ratio: 0.7, block: 16}\nmix: {blurSigma: [0.15, 1.15]}\naugmentSource: true\n",
      "data:\n  source: {images: &a x, labels: *a, map: {7: 0, 8: 1, 0: 255}}\n  target: {kind: procedural, size: 8x8}\n",
      "classes: {names: [road, car], palette: [[1, 2, 3], [4, 5, 6]]}\nevaluation: {merges: {rider: person}, every: 0}\n",
      "optimizer: {learningRate: 1e18, betas: [0.9, 0.999]}\nschedule: {steps: 9223372036854775807, power: .inf}\n",
    ]
    try write(recipes.map { Array($0.utf8) }, to: "\(folder)/recipe")
    let classes = [
      "names: [road, building, sky]\npalette: [[128, 64, 128], [70, 70, 70], [0, 0, 142]]\nids: {7: 0, 11: 1, 0: 255}\n",
      "name: mine\nnames:\n- car\n- truck\nmerges: {truck: car}\nids: cityscapes-ids\n",
    ]
    try write(classes.map { Array($0.utf8) }, to: "\(folder)/classes")
  }

  static func write(_ seeds: [[UInt8]], to folder: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for (index, seed) in seeds.enumerated() {
      try Data(seed).write(to: URL(filePath: "\(folder)/seed-\(index)"))
    }
  }
}
