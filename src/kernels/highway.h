// SPDX-License-Identifier: Apache-2.0
// Which of Highway's targets the kernels are compiled for: on x86 SSE4, AVX2 and AVX-512 (the steps between them change
// nothing for f32) and, below SSE4, SSE2 or with Debian 12's Highway plain scalars; on Arm NEON. SVE is left out: the
// kernels keep vectors in arrays, which its sizeless types don't allow. Include this before anything of Highway.
#pragma once

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | GCVIT_AVX3_STEPS | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#define GCVIT_AVX3_STEPS GCVIT_AVX3_DL_ | GCVIT_AVX3_ZEN4_ | GCVIT_AVX3_SPR_

#include <hwy/detect_targets.h>

#if defined(HWY_AVX3_DL)
#define GCVIT_AVX3_DL_ HWY_AVX3_DL
#else
#define GCVIT_AVX3_DL_ 0
#endif
#if defined(HWY_AVX3_ZEN4)
#define GCVIT_AVX3_ZEN4_ HWY_AVX3_ZEN4
#else
#define GCVIT_AVX3_ZEN4_ 0
#endif
#if defined(HWY_AVX3_SPR)
#define GCVIT_AVX3_SPR_ HWY_AVX3_SPR
#else
#define GCVIT_AVX3_SPR_ 0
#endif
