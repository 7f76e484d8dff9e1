// Times saving and loading a run's state against copying its memory and against the disk: what `apus benchmark storage`
// runs.

import Kernels
import Networks
import Recipes
import Storage
import Support
import Tensors
import Training

/// How a plain file is written and read, for comparison; each returns seconds.
public struct PlainFileTimes: Sendable {
  /// Writes and flushes so many bytes under a path.
  public let write: @Sendable (String, Int) throws -> Double
  /// Reads a file from end to end.
  public let read: @Sendable (String) throws -> Double
  /// Makes the system forget what it holds of a file in memory.
  public let forget: @Sendable (String) -> Void

  /// From its parts.
  public init(
    write: @escaping @Sendable (String, Int) throws -> Double, read: @escaping @Sendable (String) throws -> Double,
    forget: @escaping @Sendable (String) -> Void
  ) {
    self.write = write
    self.read = read
    self.forget = forget
  }
}

/// What was measured; seconds are medians, ratios are of medians.
public struct StorageBenchmarkReport: Codable, Sendable {
  /// Encoder of the networks.
  public let encoder: String
  /// Tensors of a checkpoint.
  public let tensors: Int
  /// Bytes of their values.
  public let bytes: Int
  /// Compute threads.
  public let threads: Int
  /// Copying so many bytes in memory, on one thread.
  public let copySeconds: Double
  /// The same on all threads.
  public let parallelCopySeconds: Double
  /// What a training step waits for when a checkpoint is saved.
  public let stallSeconds: Double
  /// The same for the first checkpoint, whose memory is new.
  public let firstStallSeconds: Double
  /// Stall by the copy on all threads.
  public let stallByCopy: Double
  /// From the end of the stall until the checkpoint is on disk.
  public let writeSeconds: Double
  /// Writing and flushing as many bytes plainly.
  public let plainWriteSeconds: Double
  /// Rate of writing by the plain rate.
  public let writeByPlain: Double
  /// Loading and proving the checkpoint.
  public let loadSeconds: Double
  /// Reading as many bytes plainly.
  public let plainReadSeconds: Double
  /// Rate of loading by the plain rate.
  public let loadByPlain: Double

  /// The report for people.
  public var text: String {
    func rate(_ seconds: Double) -> String {
      "\(rounded(seconds, 3)) s, \(rounded(Double(bytes) / seconds / 1e6, 0)) MB/s"
    }
    return """
      checkpoint of \(encoder): \(tensors) tensors, \(rounded(Double(bytes) / 1e6, 1)) MB; \(threads) thread(s)
      memory copy, one thread    \(rate(copySeconds))
      memory copy, all threads   \(rate(parallelCopySeconds))
      stall of training          \(rate(stallSeconds)); \(rounded(stallByCopy, 2)) copies; first \(rounded(firstStallSeconds, 3)) s
      written in background      \(rate(writeSeconds)); plain file \(rate(plainWriteSeconds)); ratio \(rounded(writeByPlain, 2))
      loaded and proved          \(rate(loadSeconds)); plain file \(rate(plainReadSeconds)); ratio \(rounded(loadByPlain, 2))
      """
  }
}

/// Student, teacher and both moments of a network, saved and loaded several times.
public final class StorageBenchmark {
  private let encoder: String
  private let store: any CheckpointStore
  private let plain: PlainFileTimes
  private let networks: [SegmentationNetwork]
  private let moments: [Tensor]

  /// State of a size.
  /// - Parameters:
  ///   - encoder: name of the encoder, which decides the size.
  ///   - store: a folder of its own, where checkpoints and a plain file are written.
  ///   - plain: times of plain writing, to compare with.
  /// - Throws: `Failure` if the encoder is not known.
  public init(encoder: String, store: any CheckpointStore, plain: PlainFileTimes) throws {
    self.encoder = encoder
    self.store = store
    self.plain = plain
    var recipe = Recipe()
    recipe.encoder.name = encoder
    let configuration = recipe.networkConfiguration(classCount: 19)
    networks = try (1...2).map { try SegmentationNetwork(configuration, gradientSlots: 0, seed: UInt64($0)) }
    moments = networks.map { network in
      let moment = Tensor(uninitialized: network.parameters.values.shape)
      moment.assign(network.parameters.values)
      return moment
    }
  }

  private func snapshot(step: Int) -> Snapshot {
    let student = networks[0].parameters
    let run = RunDescription(
      step: step, recipe: "", classNames: [], worldSize: 1, programVersion: programVersion, libraryVersions: [:],
      cpuLevel: "\(CPULevel.current)")
    return Snapshot(
      run: run,
      records: networkRecords(Snapshot.student, student) + networkRecords(Snapshot.teacher, networks[1].parameters)
        + parameterRecords(Snapshot.firstMoment, student, moments[0])
        + parameterRecords(Snapshot.secondMoment, student, moments[1]))
  }

  /// Measures so many times in turn, after one time that is not counted.
  public func run(repeats: Int) throws -> StorageBenchmarkReport {
    let saver = BackgroundSaver(store, retention: Retention(newest: 1))
    let first = snapshot(step: 0)
    saver.expect(first)
    let arenas = networks.map(\.parameters.values) + moments
    let target = Tensor(uninitialized: [arenas.reduce(0) { $0 + $1.count }])
    var copies: [Double] = []
    var parallel: [Double] = []
    var stalls: [Double] = []
    var writes: [Double] = []
    var plainWrites: [Double] = []
    var loads: [Double] = []
    var plainReads: [Double] = []
    let plainPath = "\(store.folder)/plain"
    for number in 0...repeats {
      copies.append(copy(arenas, target))
      parallel.append(copyInParallel(arenas, target))
      let watch = Stopwatch()
      try saver.save(snapshot(step: number))
      stalls.append(watch.seconds)
      let writing = Stopwatch()
      let path = try saver.finish() ?? store.folder
      writes.append(writing.seconds)
      plainWrites.append(try plain.write(plainPath, first.byteCount))
      for file in [path, plainPath] { plain.forget(file) }
      plainReads.append(try plain.read(plainPath))
      let loading = Stopwatch()
      _ = try store.load(step: number)
      loads.append(loading.seconds)
    }
    func median(_ values: [Double]) -> Double { Spread(Array(values.dropFirst())).median }
    return StorageBenchmarkReport(
      encoder: encoder, tensors: first.records.count, bytes: first.byteCount, threads: WorkerPool.shared.threads,
      copySeconds: median(copies), parallelCopySeconds: median(parallel), stallSeconds: median(stalls),
      firstStallSeconds: stalls[0], stallByCopy: median(stalls) / median(parallel), writeSeconds: median(writes),
      plainWriteSeconds: median(plainWrites), writeByPlain: median(plainWrites) / median(writes),
      loadSeconds: median(loads), plainReadSeconds: median(plainReads),
      loadByPlain: median(plainReads) / median(loads))
  }

  /// Copies all arenas one after the other.
  private func copy(_ arenas: [Tensor], _ target: Tensor) -> Double {
    let watch = Stopwatch()
    var offset = 0
    for arena in arenas {
      Tensor(shape: arena.shape, buffer: target.buffer, offset: target.offset + offset).assign(arena)
      offset += arena.count
    }
    return watch.seconds
  }

  /// Copies pieces of all arenas on all threads.
  private func copyInParallel(_ arenas: [Tensor], _ target: Tensor) -> Double {
    let piece = 1 << 20
    var pieces: [(source: Tensor, target: Tensor)] = []
    var offset = 0
    for arena in arenas {
      for start in stride(from: 0, to: arena.count, by: piece) {
        let shape = Shape([min(piece, arena.count - start)])
        pieces.append(
          (
            Tensor(shape: shape, buffer: arena.buffer, offset: arena.offset + start),
            Tensor(shape: shape, buffer: target.buffer, offset: target.offset + offset + start)
          ))
      }
      offset += arena.count
    }
    let watch = Stopwatch()
    WorkerPool.shared.run(tiles: pieces.count) { pieces[$0].target.assign(pieces[$0].source) }
    return watch.seconds
  }
}
