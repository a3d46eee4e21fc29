package sandbox

import (
	"maps"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/sandbox/build"
)

// A base of a registry is named in what leaves. Where a file or folder lies on this machine is not: it has the name
// of a user in it, and two people's exports would differ.
func TestPathsOfBasesStayHere(t *testing.T) {
	sum := "sha256:" + strings.Repeat("a", 64)
	for ref, want := range map[string]string{
		"docker.io/library/debian:12": "docker.io/library/debian:12", "debian@" + sum: "debian@" + sum,
		"dir:/home/ann/rootfs": "", "oci:/home/ann/layout:v1": "", "oci-archive:/home/ann/x.tar": "", "docker-archive:/home/ann/x.tar": "", "oci:../../ann/base": "",
	} {
		sec := &envfile.Section{Image: envfile.ImagePin{Ref: ref, Manifest: sum}}
		lock := &envfile.Lock{Sections: map[string]*envfile.Section{"linux-amd64": sec}}
		labels := exportedConfig(lock, "linux-amd64", &build.Env{Image: oci.Config{}}).Labels
		for _, m := range []map[string]string{baseAnnotations(sec), labels} {
			got, ok := m[labelBase]
			if got != want || ok != (want != "") || m[labelBaseSum] != sum {
				t.Errorf("%s: %v", ref, m)
			}
		}
		list, err := billOfMaterials(lock, "linux-amd64")
		if err != nil {
			t.Fatal(err)
		}
		for v := range maps.Values(labels) {
			list = append(list, v...)
		}
		if want == "" && strings.Contains(string(list), "ann") {
			t.Errorf("%s: the folder leaves:\n%s", ref, list)
		}
	}
}
