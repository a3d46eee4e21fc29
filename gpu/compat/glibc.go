package compat

import (
	"strconv"
	"strings"
)

// fileGlibc is the oldest glibc that a wheel's file name accepts. A name may carry several platforms, any
// of which will do. ok is false where the name says nothing of glibc.
func fileGlibc(file string) (glibc [2]int, ok bool) {
	name, isWheel := strings.CutSuffix(file, ".whl")
	i := strings.LastIndexByte(name, '-')
	if !isWheel || i < 0 {
		return [2]int{}, false
	}
	for platform := range strings.SplitSeq(name[i+1:], ".") {
		if v, is := platformGlibc(platform); is && (!ok || compare(v[:], glibc[:]) < 0) {
			glibc, ok = v, true
		}
	}
	return glibc, ok
}

func platformGlibc(p string) ([2]int, bool) {
	rest, ok := strings.CutPrefix(p, "manylinux")
	if !ok {
		return [2]int{}, false
	}
	for _, old := range []struct {
		name  string
		glibc [2]int
	}{{"2014_", [2]int{2, 17}}, {"2010_", [2]int{2, 12}}, {"1_", [2]int{2, 5}}} {
		if strings.HasPrefix(rest, old.name) {
			return old.glibc, true
		}
	}
	f := strings.SplitN(rest, "_", 4) // "_2_28_x86_64"
	if len(f) < 4 || f[0] != "" {
		return [2]int{}, false
	}
	major, errA := strconv.ParseUint(f[1], 10, 8)
	minor, errB := strconv.ParseUint(f[2], 10, 8)
	return [2]int{int(major), int(minor)}, errA == nil && errB == nil
}

// glibcOf reads "2.28".
func glibcOf(s string) [2]int {
	v := cudaVersion(s)
	return [2]int(v)
}

func glibcString(g [2]int) string { return strconv.Itoa(g[0]) + "." + strconv.Itoa(g[1]) }
