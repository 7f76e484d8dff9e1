#pragma once
#include <hdf5.h>
#include <string.h>
#include <zlib.h>

// Names that HDF5 defines as expressions around H5open(), which Swift cannot import.
static inline hid_t ch5_native_float(void) { return H5T_NATIVE_FLOAT; }
static inline hid_t ch5_f32le(void) { return H5T_IEEE_F32LE; }
static inline hid_t ch5_f64le(void) { return H5T_IEEE_F64LE; }
static inline hid_t ch5_native_double(void) { return H5T_NATIVE_DOUBLE; }
static inline hid_t ch5_u8(void) { return H5T_STD_U8LE; }
static inline hid_t ch5_u16le(void) { return H5T_STD_U16LE; }
static inline hid_t ch5_native_u8(void) { return H5T_NATIVE_UINT8; }
static inline hid_t ch5_i32le(void) { return H5T_STD_I32LE; }
static inline hid_t ch5_native_i32(void) { return H5T_NATIVE_INT32; }
static inline hid_t ch5_i64le(void) { return H5T_STD_I64LE; }
static inline hid_t ch5_native_i64(void) { return H5T_NATIVE_INT64; }
static inline hid_t ch5_u64le(void) { return H5T_STD_U64LE; }
static inline hid_t ch5_native_u64(void) { return H5T_NATIVE_UINT64; }
static inline hid_t ch5_c_s1(void) { return H5T_C_S1; }
static inline size_t ch5_variable(void) { return H5T_VARIABLE; }
static inline hid_t ch5_p_dataset_create(void) { return H5P_DATASET_CREATE; }
static inline hid_t ch5_p_group_create(void) { return H5P_GROUP_CREATE; }
static inline hid_t ch5_p_file_create(void) { return H5P_FILE_CREATE; }
static inline hid_t ch5_p_file_access(void) { return H5P_FILE_ACCESS; }
static inline hid_t ch5_p_dataset_access(void) { return H5P_DATASET_ACCESS; }
static inline unsigned ch5_acc_trunc(void) { return H5F_ACC_TRUNC; }
static inline unsigned ch5_acc_excl(void) { return H5F_ACC_EXCL; }
static inline unsigned ch5_acc_rdonly(void) { return H5F_ACC_RDONLY; }
static inline unsigned ch5_acc_rdwr(void) { return H5F_ACC_RDWR; }
static inline H5F_libver_t ch5_libver_v18(void) { return H5F_LIBVER_V18; }
static inline H5F_libver_t ch5_libver_v110(void) { return H5F_LIBVER_V110; }
static inline H5F_libver_t ch5_libver_earliest(void) { return H5F_LIBVER_EARLIEST; }
static inline hsize_t ch5_unlimited(void) { return H5S_UNLIMITED; }
static inline hid_t ch5_p_default(void) { return H5P_DEFAULT; }
static inline hid_t ch5_s_all(void) { return H5S_ALL; }
static inline hid_t ch5_e_default(void) { return H5E_DEFAULT; }
static inline haddr_t ch5_undefined_address(void) { return HADDR_UNDEF; }

// Reading must not need a lock the file system may not have; releases without the call lock as they always did.
static inline herr_t ch5_without_locking(hid_t access) {
#if H5_VERSION_GE(1, 14, 0) || (H5_VERSION_GE(1, 12, 1) && !H5_VERSION_GE(1, 13, 0)) || \
    (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 11, 0))
  return H5Pset_file_locking(access, 0, 1);
#else
  return access < 0 ? -1 : 0;
#endif
}

// H5Literate and the types of its callback are macros that change their meaning from release to release. Of a hard link,
// the address of its object is told; of any other, HADDR_UNDEF.
typedef struct {
  void (*take)(const char *name, haddr_t address, void *context);
  void *context;
} ch5_taker;
static inline herr_t ch5_take(hid_t group, const char *name, const H5L_info_t *info, void *taker) {
  (void)group;
  haddr_t address = HADDR_UNDEF;
  if (info->type == H5L_TYPE_HARD) memcpy(&address, &info->u, sizeof address);
  ((ch5_taker *)taker)->take(name, address, ((ch5_taker *)taker)->context);
  return 0;
}
static inline herr_t ch5_each_name(
    hid_t group, void (*take)(const char *name, haddr_t address, void *context), void *context) {
  ch5_taker taker = {take, context};
  hsize_t start = 0;
  return H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, &start, ch5_take, &taker);
}
