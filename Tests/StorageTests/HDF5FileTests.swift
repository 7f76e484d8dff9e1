// The reader and writer over the HDF5 C API.

import StorageHDF5
import Support
import Tensors
import TestSupport
import Testing

@Suite struct HDF5FileTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func built(userBlock: Int = 0, _ fill: (HDF5File) throws -> Void) throws -> HDF5File {
    let file = try HDF5File(building: "test", userBlock: userBlock, capacity: 1 << 16)
    try fill(file)
    try file.close()
    try folder.write(Array(try #require(file.image).bytes), to: "a.h5")
    return try HDF5File(reading: folder.file("a.h5"))
  }

  @Test(arguments: [0, 512]) func valuesComeBackAsWritten(userBlock: Int) throws {
    let floats: [Float] = [1, -0.0, .infinity, .leastNonzeroMagnitude, .pi, 7]
    let file = try built(userBlock: userBlock) {
      try $0.write(floats: floats, shape: [2, 3], to: "a/b/floats.weight")
      try $0.write(integers: [1, -2, Int.max], shape: [3], to: "integers")
      try $0.write(bytes: [0, 255], shape: [1, 2], to: "a/bytes")
      try $0.write(floats: [4], shape: [], to: "scalar")
      try $0.write(floats: [], shape: [0, 3], to: "empty")
    }
    let read = try file.floats("a/b/floats.weight")
    #expect(read.values.map(\.bitPattern) == floats.map(\.bitPattern))
    #expect(read.shape == [2, 3])
    #expect(try file.tensor("/a/b/floats.weight").values.map(\.bitPattern) == floats.map(\.bitPattern))
    #expect(try file.integers("integers").values == [1, -2, Int.max])
    #expect(try file.bytes("a/bytes") == ([0, 255], [1, 2]))
    #expect(try file.floats("scalar") == ([4], []))
    #expect(try file.floats("empty") == ([], [0, 3]))
    #expect(try file.datasets() == ["a/b/floats.weight", "a/bytes", "empty", "integers", "scalar"])
    #expect(try file.element(of: "a/bytes") == .integer(bytes: 1, signed: false))
    #expect(try file.contains("a/b") && !file.contains("a/c/d"))
  }

  @Test func attributesComeBackAsWritten() throws {
    let values: [String: HDF5Value] = [
      "text": .text("Straße, 道路"), "empty": .text(""), "list": .texts(["road", "sidewalk"]), "none": .texts([]),
      "integer": .integer(-3), "integers": .integers([1, 2]), "number": .number(0.1), "numbers": .numbers([0.5]),
    ]
    let file = try built {
      try $0.createGroup("run")
      for (name, value) in values { try $0.setAttribute(name, of: "run", to: value) }
      try $0.setAttribute("step", of: "", to: .integer(1))
      try $0.setAttribute("step", of: "", to: .integer(2))
      #expect(throws: Failure.self) { [file = $0] in
        try file.setAttribute("long", of: "", to: .text(String(repeating: "a", count: 70_000)))
      }
    }
    #expect(try file.attributes(of: "run") == values)
    #expect(try file.attribute("step", of: "") == .integer(2))
    #expect(try file.attribute("absent", of: "run") == nil)
  }

  @Test func failuresNameFileObjectAndReason() throws {
    let file = try built { try $0.write(bytes: [1], shape: [1], to: "bytes") }
    let missing = #expect(throws: Failure.self) { try file.floats("nothing/here") }
    #expect(missing?.status == .badData)
    #expect(missing?.description.contains("a.h5:/nothing/here: cannot open this dataset (HDF5: ") == true)
    let kind = #expect(throws: Failure.self) { try file.floats("bytes") }
    #expect(kind?.description.contains("expected elements of type Float") == true)
    let absent = #expect(throws: Failure.self) { try HDF5File(reading: folder.file("no.h5")) }
    #expect(absent?.status == .missingInput)
    try folder.write(Array("not HDF5 at all".utf8), to: "text.h5")
    let text = #expect(throws: Failure.self) { try HDF5File(reading: folder.file("text.h5")) }
    #expect(text?.status == .badData)
  }

  @Test func filesOfOneNameInMemoryAreApart() throws {
    let files = try (0..<2).map { _ in try HDF5File(building: "same", userBlock: 0, capacity: 0) }
    for (index, file) in files.enumerated() { try file.write(integers: [index], shape: [1], to: "index") }
    #expect(try files.map { try $0.integers("index").values } == [[0], [1]])
  }

  @Test func aClosedFileRefuses() throws {
    let file = try built { _ in }
    try file.close()
    #expect(throws: Failure.self) { try file.datasets() }
  }

  @Test func sameContentSameBytes() throws {
    let bytes = try (0..<2).map { _ in
      _ = try built {
        try $0.write(floats: [1, 2], shape: [2], to: "a/b")
        try $0.setAttribute("step", of: "a", to: .integer(1))
      }
      return try folder.bytes("a.h5")
    }
    #expect(bytes[0] == bytes[1])
  }
}

@Suite(.enabled(if: hasSharedFolder, "needs ../shared")) struct FixtureFileTests {
  @Test func namesShapesAndConfig() throws {
    let fixture = try #require(try FixtureFile("ops"))
    #expect(fixture.names().contains("attention_sr8"))
    #expect(try fixture.floats("attention_sr8/input").shape.count == 3)
    #expect(try fixture.config("seed", Int.self) == 100)
    let net = try #require(try FixtureFile("hrda"))
    #expect(try net.config("net.encoder.widths", [Int].self) == [16, 32, 48, 64])
    #expect(try net.integers("box").shape == [4])
    #expect(try FixtureFile("absent") == nil)
  }

  @Test(arguments: ["augment", "b0", "encoder", "hrda", "hrda_odd", "ops", "schedule", "steps", "steps_mic", "weights"])
  func everyDatasetReadsAndKeepsItsMaximum(name: String) throws {
    let fixture = try #require(try FixtureFile(name))
    let file = try HDF5File(reading: fixture.file.path)
    let paths = fixture.datasets()
    #expect(!paths.isEmpty)
    for path in paths {
      guard case .float = try file.element(of: path) else {
        #expect(!(try fixture.integers(path).values.isEmpty))
        continue
      }
      let largest = try fixture.floats(path).values.reduce(0) { max($0, abs($1)) }
      #expect(abs(Double(largest) - (try fixture.maximum(path))) <= 1e-6 * Double(largest), "\(path)")
      #expect(try fixture.timesAllowed(try fixture.tensor(path), path) == 0)
    }
  }

  @Test func aWrongValueIsSeen() throws {
    let fixture = try #require(try FixtureFile("ops"))
    let tensor = try fixture.tensor("attention_sr8/output")
    tensor.pointer[5] += Float(try 2 * fixture.allowedError("attention_sr8/output"))
    #expect(try fixture.timesAllowed(tensor, "attention_sr8/output") > 1)
    #expect(try fixture.timesAllowed([1], "attention_sr8/output") == .infinity)
  }
}

@Suite struct PermutationTests {
  @Test func axesMove() {
    let values = (0..<24).map(Float.init)
    let moved = nchwToNHWC(values, [1, 2, 3, 4])
    #expect(moved.shape == [1, 3, 4, 2])
    #expect(Array(moved.values.prefix(4)) == [0, 12, 1, 13])
    #expect(nhwcToNCHW(moved) == values)
    #expect(oihwToHWIO(values, [2, 3, 2, 2]).values[1] == 12)
  }
}
