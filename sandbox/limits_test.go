package sandbox

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/layer"
)

// T-87: what docs/schema.md says of [layers] is what package layer does where nothing is set.
func TestLayerLimitsAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/schema.md")
	if err != nil {
		t.Fatal(err)
	}
	l := layer.Limits{}.WithDefaults()
	for key, want := range map[string]string{
		"entries": fmt.Sprint(l.Entries), "ratio": fmt.Sprint(l.Ratio),
		"size": `"` + envfile.Size(l.Bytes).String() + `"`, "memory": `"` + envfile.Size(l.Memory).String() + `"`,
	} {
		found := false
		for line := range strings.SplitSeq(string(b), "\n") {
			found = found || strings.HasPrefix(line, "| `layers."+key+"` ") && strings.Contains(line, "| `"+want+"` |")
		}
		if !found {
			t.Errorf("docs/schema.md does not say that layers.%s is %s", key, want)
		}
	}
	u, err := envfile.ParseUserConfig("config.toml", []byte("layers.entries = 1\nlayers.size = \"2GiB\"\nlayers.ratio = 3\nlayers.memory = \"4MiB\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := &Manager{user: u}
	if got := m.limits(); got != (layer.Limits{Entries: 1, Bytes: 2 << 30, Ratio: 3, Memory: 4 << 20}) {
		t.Errorf("%+v", got)
	}
}

// The hint of a limit can be put into the configuration as it is.
func TestHintsOfLimitsCanBeWritten(t *testing.T) {
	for _, key := range []string{"entries", "size", "ratio", "memory"} {
		e := &layer.LimitError{What: "layer", Key: key, Limit: 512 << 20}
		_, text, ok := strings.Cut(e.Hint(), "config.toml: ")
		u, err := envfile.ParseUserConfig("config.toml", []byte(text+"\n"))
		if !ok || err != nil {
			t.Fatalf("%q: %v", e.Hint(), err)
		}
		m := &Manager{user: u}
		l := m.limits()
		if int64(l.Entries)+l.Bytes+l.Ratio+l.Memory != 1<<30 {
			t.Errorf("%q gives %+v", text, l)
		}
	}
}
