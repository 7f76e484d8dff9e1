// The messages beside the blocking operations, between ranks that are threads of one process.

import Collectives
import Support

/// The channel of a rank that is a thread of a `LoopbackWorld`: sends leave a copy, receipts are filled when polled.
final class LoopbackChannel: MessageChannel {
  private struct Receipt {
    let bytes: UnsafeMutableRawBufferPointer
    let source: Int
  }

  let lanes: Int
  private let rank: Int
  private let world: LoopbackWorld
  /// Numbers the channels of a world, so that their messages do not mix.
  private let number: Int
  private var receipts: [[Receipt]]

  init(rank: Int, world: LoopbackWorld, number: Int, lanes: Int) {
    self.rank = rank
    self.world = world
    self.number = number
    self.lanes = lanes
    receipts = Array(repeating: [], count: lanes)
  }

  func send(_ bytes: UnsafeRawBufferPointer, to destination: Int, lane: Int) throws {
    try world.post(bytes, .message, mailbox(from: rank, to: destination, lane))
  }

  func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int, lane: Int) throws {
    receipts[lane].append(Receipt(bytes: bytes, source: source))
  }

  func poll(lane: Int) throws -> Bool {
    try receipts[lane].removeAll { receipt in
      try world.takeIfThere(receipt.bytes, .message, mailbox(from: receipt.source, to: rank, lane))
    }
    return receipts[lane].isEmpty
  }

  private func mailbox(from source: Int, to destination: Int, _ lane: Int) -> LoopbackWorld.Mailbox {
    LoopbackWorld.Mailbox(source: source, destination: destination, channel: number, lane: lane)
  }
}
