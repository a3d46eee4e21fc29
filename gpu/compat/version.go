package compat

import (
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// longest is how long a version may be; images and locks are other people's texts.
const longest = 64

// numbers are the leading numbers of a version: "470.82.01" is 470, 82, 1 and "12.4.127-1" 12, 4, 127.
// ok is false where there is none, or where one is absurdly long.
func numbers(s string) (out []int, ok bool) {
	s = strings.TrimPrefix(strings.TrimSpace(s), "v")
	if len(s) > longest {
		return nil, false
	}
	for part := range strings.SplitSeq(s, ".") {
		end := 0
		for end < len(part) && part[end] >= '0' && part[end] <= '9' {
			end++
		}
		if end == 0 {
			break
		}
		n, err := strconv.Atoi(part[:end])
		if err != nil || n > 1<<30 {
			return nil, false
		}
		out = append(out, n)
		if end < len(part) {
			break
		}
	}
	return out, len(out) > 0
}

// older tells whether version a is older than b, missing parts counting as 0. What is no version is never
// older: an unknown version must not cause a refusal.
func older(a, b string) bool {
	x, okA := numbers(a)
	y, okB := numbers(b)
	return okA && okB && compare(x, y) < 0
}

func compare(x, y []int) int {
	at := func(s []int, i int) int {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	for i := range max(len(x), len(y)) {
		if d := at(x, i) - at(y, i); d != 0 {
			return d
		}
	}
	return 0
}

// cudaVersion reads "12.4", "12.4.127" and "12" (12.0).
func cudaVersion(s string) gpu.Version {
	n, ok := numbers(s)
	if !ok {
		return gpu.Version{}
	}
	v := gpu.Version{n[0], 0}
	if len(n) > 1 {
		v[1] = n[1]
	}
	return v
}

// minor is the first two parts of a version: "2.5" of "2.5.1". "2" is "2.0".
func minor(version string) string {
	v := cudaVersion(version)
	if !v.Known() {
		return ""
	}
	return v.String()
}

// parts counts the numbers of a version: 2 for "2.5".
func parts(version string) int {
	n, _ := numbers(version)
	return len(n)
}
