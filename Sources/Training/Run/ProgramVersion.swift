// The version that checkpoints, reports and `apus --version` carry.

/// Version of this program, by the rules of semantic versioning.
public let programVersion = "0.1.0"
