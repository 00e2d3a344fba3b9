// SPDX-License-Identifier: Apache-2.0
//
// Names for clang's thread-safety analysis (-Wthread-safety); nothing under other compilers.
// https://clang.llvm.org/docs/ThreadSafetyAnalysis.html
#ifndef DMAP_BASE_THREAD_ANNOTATIONS_H_
#define DMAP_BASE_THREAD_ANNOTATIONS_H_

#if defined(__clang__)
#define DMAP_ANNOTATE(x) __attribute__((x))
#else
#define DMAP_ANNOTATE(x)
#endif

#define CAPABILITY(x) DMAP_ANNOTATE(capability(x))
#define SCOPED_CAPABILITY DMAP_ANNOTATE(scoped_lockable)
#define GUARDED_BY(x) DMAP_ANNOTATE(guarded_by(x))
#define PT_GUARDED_BY(x) DMAP_ANNOTATE(pt_guarded_by(x))
#define REQUIRES(...) DMAP_ANNOTATE(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...) DMAP_ANNOTATE(requires_shared_capability(__VA_ARGS__))
#define ACQUIRE(...) DMAP_ANNOTATE(acquire_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...) DMAP_ANNOTATE(acquire_shared_capability(__VA_ARGS__))
#define RELEASE(...) DMAP_ANNOTATE(release_capability(__VA_ARGS__))
#define RELEASE_SHARED(...) DMAP_ANNOTATE(release_shared_capability(__VA_ARGS__))
#define RELEASE_GENERIC(...) DMAP_ANNOTATE(release_generic_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) DMAP_ANNOTATE(try_acquire_capability(__VA_ARGS__))
#define ASSERT_CAPABILITY(x) DMAP_ANNOTATE(assert_capability(x))
#define EXCLUDES(...) DMAP_ANNOTATE(locks_excluded(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS DMAP_ANNOTATE(no_thread_safety_analysis)

#endif  // DMAP_BASE_THREAD_ANNOTATIONS_H_
