// Whether a launcher started this process as one of several ranks, read from the environment it sets.

import Support

/// The number of ranks a launcher announced, or nil for a process that was started alone.
///
/// Open MPI's mpirun sets `OMPI_COMM_WORLD_SIZE`. Slurm's srun sets `SLURM_STEP_NUM_TASKS`, beside it `PMIX_RANK` where
/// it offers MPI by PMIx, and `PMI_RANK` where by PMI-1 or PMI-2, which Open MPI does not speak as it is built today; the
/// batch script itself is a step of one task. One task is a process alone. Several without PMIx would each take
/// themselves for the whole job and write to the same files: that is refused.
/// - Parameter environment: name and value of each variable.
/// - Throws: `Failure` (64) where several tasks were started without PMIx.
public func announcedRanks(_ environment: [String: String]) throws -> Int? {
  if let size = environment["OMPI_COMM_WORLD_SIZE"].flatMap({ Int($0) }) { return size }
  let tasks = environment["SLURM_STEP_NUM_TASKS"].flatMap { Int($0) }
  if environment["PMIX_RANK"] != nil { return tasks ?? 1 }
  let started = tasks ?? environment["PMI_SIZE"].flatMap { Int($0) } ?? 1
  guard started > 1 else { return nil }
  let how = environment["PMI_RANK"] == nil ? "MPI" : "PMIx, by PMI-1 or PMI-2"
  throw Failure(.usage, "\(started) tasks were started without \(how)", remedy: "use srun --mpi=pmix, or mpirun")
}
