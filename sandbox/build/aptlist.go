package build

import (
	"context"
	"fmt"
	"strings"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/layer"
)

// keyringsInside are where the archive keys lie in a base that has them.
var keyringsInside = []string{
	"/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp",
	"/usr/share/keyrings/ubuntu-archive-keyring.gpg",
}

// AptList gives sources.list lines for apt inside a deb: base, whose layers name no mirror, as this
// host reaches the archives; and the keyring to bind in, "" where the base has the keys itself.
func (b *Builder) AptList(ctx context.Context, sec *envfile.Section, env *Env) (list, keyring string, err error) {
	archives, err := b.suite(ctx, sec.Image.Ref)
	if err != nil {
		return "", "", err
	}
	stack := layer.NewStack(env.dirs())
	defer stack.Close()
	options := ""
	if b.File.Image.Keyring != "" {
		keyring = b.keyring()
		options = "[signed-by=" + BoxRun + "/archive-keyring] "
	} else {
		for _, k := range keyringsInside {
			if _, err := stack.Stat(k); err == nil {
				options = "[signed-by=" + k + "] "
				break
			}
		}
	}
	var out strings.Builder
	for _, a := range archives {
		comps := a.Source.Components
		if len(comps) == 0 {
			comps = []string{"main"}
		}
		fmt.Fprintf(&out, "deb %s%s %s %s\n", options, a.Source.URI, a.Source.Suite, strings.Join(comps, " "))
	}
	return out.String(), keyring, nil
}
