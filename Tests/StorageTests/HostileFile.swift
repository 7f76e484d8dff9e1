// Files as a stranger might make them: good ones, changed through the HDF5 library or byte by byte, and sealed anew.

import CHDF5
import Support
import TestSupport

/// Changes an HDF5 file in place through the library, in the form of release 1.8 where it can express the change.
func change(_ path: String, _ body: (hid_t) -> Void) {
  let access = H5Pcreate(ch5_p_file_access())
  H5Pset_libver_bounds(access, ch5_libver_v18(), ch5_libver_v110())
  let file = H5Fopen(path, ch5_acc_rdwr(), access)
  precondition(file >= 0, "\(path) cannot be changed")
  body(file)
  H5Fclose(file)
  H5Pclose(access)
}

/// The bytes of a file under a seal that fits them.
func sealed(_ bytes: [UInt8], as kind: String) -> [UInt8] {
  let hash = SHA256()
  hash.update(Array(bytes[512...]))
  let text = "APUS SEALED FILE 1\nkind \(kind)\nbytes \(bytes.count - 512)\nsha256 \(hash.hexadecimal())\n"
  return Array(text.utf8) + [UInt8](repeating: 0x20, count: 511 - text.utf8.count) + [0x0a] + bytes[512...]
}

/// Ways to add to an open file what no file of this program has.
enum Mischief {
  /// A dataset whose values are those of another file.
  static func externalStorage(_ file: hid_t, _ path: String, reading other: String) {
    let creation = H5Pcreate(ch5_p_dataset_create())
    H5Pset_external(creation, other, 0, 16)
    create(file, path, [4], creation)
  }

  /// A dataset that shows one of another file.
  static func virtual(_ file: hid_t, _ path: String, reading other: String) {
    let space = H5Screate_simple(1, [4], nil)
    let creation = H5Pcreate(ch5_p_dataset_create())
    H5Pset_virtual(creation, space, other, "/a", space)
    H5Sclose(space)
    create(file, path, [4], creation)
  }

  /// A contiguous dataset that claims an extent and has no values.
  static func claim(_ file: hid_t, _ path: String, _ count: UInt64) {
    create(file, path, [count], H5Pcreate(ch5_p_dataset_create()))
  }

  /// A chunked, compressed dataset without values.
  static func emptyChunks(_ file: hid_t, _ path: String, _ count: UInt64) {
    let creation = H5Pcreate(ch5_p_dataset_create())
    H5Pset_chunk(creation, 1, [1 << 20])
    H5Pset_deflate(creation, 1)
    create(file, path, [count], creation)
  }

  /// Puts a group into itself.
  static func cycle(_ file: hid_t, _ group: String) {
    H5Lcreate_hard(file, group, file, "\(group)/again", ch5_p_default(), ch5_p_default())
  }

  /// Groups in groups.
  static func depth(_ file: hid_t, _ path: String, _ count: Int) {
    for depth in 1...count {
      H5Gclose(
        H5Gcreate2(
          file, path + String(repeating: "/g", count: depth), ch5_p_default(), ch5_p_default(), ch5_p_default()))
    }
  }

  /// A link by path.
  static func softLink(_ file: hid_t, _ path: String, to target: String) {
    H5Lcreate_soft(target, file, path, ch5_p_default(), ch5_p_default())
  }

  /// A link into another file.
  static func externalLink(_ file: hid_t, _ path: String, to other: String) {
    H5Lcreate_external(other, "/a", file, path, ch5_p_default(), ch5_p_default())
  }

  /// Another whole number in an attribute of the root.
  static func attribute(_ file: hid_t, _ name: String, _ value: Int64) {
    let attribute = H5Aopen(file, name, ch5_p_default())
    H5Awrite(attribute, ch5_native_i64(), [value])
    H5Aclose(attribute)
  }

  /// Other whole numbers in a dataset.
  static func list(_ file: hid_t, _ path: String, _ values: [Int64]) {
    let dataset = H5Dopen2(file, path, ch5_p_default())
    H5Dwrite(dataset, ch5_native_i64(), ch5_s_all(), ch5_s_all(), ch5_p_default(), values)
    H5Dclose(dataset)
  }

  /// Other extents of a growing dataset.
  static func extend(_ file: hid_t, _ path: String, _ extents: [UInt64]) {
    let dataset = H5Dopen2(file, path, ch5_p_default())
    H5Dset_extent(dataset, extents)
    H5Dclose(dataset)
  }

  /// Bytes in place of a compressed row.
  static func storedRow(_ file: hid_t, _ path: String, _ bytes: [UInt8]) {
    let dataset = H5Dopen2(file, path, ch5_p_default())
    H5Dwrite_chunk(dataset, ch5_p_default(), 0, [0, 0, 0], bytes.count, bytes)
    H5Dclose(dataset)
  }

  private static func create(_ file: hid_t, _ path: String, _ extents: [UInt64], _ creation: hid_t) {
    let space = H5Screate_simple(Int32(extents.count), extents, nil)
    H5Dclose(H5Dcreate2(file, path, ch5_f32le(), space, ch5_p_default(), creation, ch5_p_default()))
    H5Sclose(space)
    H5Pclose(creation)
  }
}
