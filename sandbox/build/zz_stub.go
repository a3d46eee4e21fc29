package build

import (
	"context"
	"github.com/4cc2e759/sandbox/images/deb"

	"github.com/4cc2e759/sandbox/envfile"
)

func (b *Builder) addDebs(ctx context.Context, env *Env, p []envfile.DebPin, kind string, epoch int64) error { return nil }
func (b *Builder) lockApt(ctx context.Context, env *Env, layer string, n []string, k map[string]string) ([]envfile.DebPin, error) { return nil, nil }
func (b *Builder) candidates(ctx context.Context, env *Env) func(string) (string, bool) { return nil }
func (b *Builder) imageSources(env *Env) ([]deb.Source, error) { return nil, nil }
