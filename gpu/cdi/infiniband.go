package cdi

import (
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// InfiniBand gives the nodes with which programs reach RDMA adapters: /dev/infiniband/rdma_cm, uverbsN,
// umadN and issmN. A machine without any gives none.
func InfiniBand(roots gpu.Roots) []Node {
	dir := filepath.Join(roots.Dev, "infiniband")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []Node
	for _, e := range entries {
		if !rdma(e.Name()) {
			continue
		}
		fi, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		if kind, _, _, ok := number(fi); ok && kind == "c" {
			out = append(out, Node{Source: filepath.Join(dir, e.Name()), Target: "/dev/infiniband/" + e.Name(), Why: "infiniband"})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Target < out[j].Target })
	return out
}

func rdma(name string) bool {
	if name == "rdma_cm" {
		return true
	}
	for _, p := range []string{"uverbs", "umad", "issm"} {
		if n, ok := strings.CutPrefix(name, p); ok && n != "" && strings.Trim(n, "0123456789") == "" {
			return true
		}
	}
	return false
}
