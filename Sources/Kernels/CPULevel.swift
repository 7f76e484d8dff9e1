// The instruction-set level of all kernels. Bits depend on it, so ranks agree on one.

import CDNNL
import CKernels

/// Instruction-set levels of the vector kernels, lowest first.
public enum CPULevel: Int, Sendable, CaseIterable, CustomStringConvertible {
  /// Whatever every CPU of this architecture runs.
  case portable = 0
  /// AVX2 with fused multiply-add.
  case avx2 = 1
  /// AVX-512 F, VL, DQ and BW.
  case avx512 = 2

  /// The highest level this CPU runs.
  public static var supported: CPULevel { CPULevel(rawValue: Int(ck_supported_level())) ?? .portable }

  /// The level in use.
  public static var current: CPULevel { CPULevel(rawValue: Int(ck_level())) ?? .portable }

  /// Uses a level no higher than the supported one. Call before the first kernel: oneDNN keeps its first choice.
  /// - Returns: the level now in use.
  @discardableResult
  public static func use(_ level: CPULevel) -> CPULevel {
    let chosen = CPULevel(rawValue: Int(ck_set_level(Int32(level.rawValue)))) ?? .portable
    switch chosen {
    case .portable: _ = dnnl_set_max_cpu_isa(dnnl_cpu_isa_sse41)
    case .avx2: _ = dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2)
    case .avx512: _ = dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core)
    }
    return chosen
  }

  /// Its name in recipes, logs and the environment: `portable`, `avx2` or `avx512`.
  public var description: String {
    switch self {
    case .portable: "portable"
    case .avx2: "avx2"
    case .avx512: "avx512"
    }
  }

  /// The level with a name.
  public init?(named name: String) {
    guard let level = CPULevel.allCases.first(where: { $0.description == name }) else { return nil }
    self = level
  }
}
