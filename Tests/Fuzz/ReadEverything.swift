// What the drivers of weight files share.

import Foundation
import Support
import WeightFiles

/// Reads a file with all its numbers; only failures of status 65 in one line may come of it.
func readEverything(_ file: [UInt8]) {
  do {
    let weights = try WeightFile.read(Data(file), path: "input")
    precondition(Set(weights.tensors.map(\.name)).count == weights.tensors.count)
    for tensor in weights.tensors {
      let values = try tensor.floats()
      precondition(values.count == tensor.count)
    }
  } catch let failure as Failure {
    precondition(failure.status == .badData && !"\(failure)".contains(where: \.isNewline) && "\(failure)".count < 2000)
  } catch {
    fatalError("\(error)")
  }
}
