// Whether a launcher started this process as one of several ranks, read from the environment it sets.

import Support

/// The number of ranks a launcher announced, or nil for a process that was started alone.
///
/// Open MPI's mpirun sets `OMPI_COMM_WORLD_SIZE`. Slurm's srun sets `SLURM_STEP_NUM_TASKS`, beside it `PMIX_RANK` or
/// `PMI_RANK` where it offers MPI; the batch script itself is a step of one task. Under srun without MPI every task
/// would take itself for the whole job and write to the same files: that is refused.
/// - Parameter environment: name and value of each variable.
/// - Throws: `Failure` (64) where several tasks were started without MPI.
public func announcedRanks(_ environment: [String: String]) throws -> Int? {
  if let size = environment["OMPI_COMM_WORLD_SIZE"].flatMap({ Int($0) }) { return size }
  let tasks = environment["SLURM_STEP_NUM_TASKS"].flatMap { Int($0) }
  if environment["PMIX_RANK"] != nil || environment["PMI_RANK"] != nil {
    return tasks ?? environment["PMI_SIZE"].flatMap { Int($0) } ?? 1
  }
  guard let tasks, tasks > 1 else { return nil }
  throw Failure(.usage, "srun started \(tasks) tasks without MPI", remedy: "use srun --mpi=pmix, or mpirun")
}
