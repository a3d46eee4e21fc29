package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/4cc2e759/sandbox/images/registry"
	"github.com/4cc2e759/sandbox/sandbox"
)

func newPush(a *app) *cobra.Command {
	var image, code string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "push REF",
		Short: "Send the environment, or an image of the store, to a registry",
		Long: `Pushes the image called REF that was committed or imported; if there is none, the environment of this
project under that name. What the registry has is not sent again, and what another of its repositories has
is taken from there; a push that was cut off can simply be made again. Credentials are those of docker login
and podman login. The list of packages that the lock pins goes along, as an artifact that refers to the image.` + "\n" + exitStatus,
		Example: `  sandbox push registry.example/team/env:1.0
  sandbox push --image debian:12 registry.example/mirror/debian:12`,
		Args: cobra.ExactArgs(1),
	}
	dir, profiles := projectFlags(a, cmd)
	f := cmd.Flags()
	f.StringVar(&image, "image", "", "push this image of the store")
	a.completeFlag(cmd, "image", a.imageNames)
	codeFlag(cmd, &code)
	f.BoolVar(&a.allowHTTP, "allow-http", false, "allow plain http beyond this machine")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		g, err := a.pushing(cmd, args[0], image, *dir, sandbox.ProjectOptions{Profiles: *profiles}, sandbox.ExportOptions{Code: code})
		if err != nil {
			return err
		}
		defer g.Close()
		r, err := g.Push(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if asJSON {
			return a.json(struct {
				Ref string `json:"ref"`
				registry.Pushed
			}{args[0], r})
		}
		a.notice(fmt.Sprintf("pushed %s as %s: %d of %d blobs were sent, %s", g.Of, args[0], r.Sent, r.Blobs, bytesText(r.Bytes)))
		a.printf("%s\n", r.Digest)
		return nil
	}
	return cmd
}

// pushing decides what is meant by REF.
func (a *app) pushing(cmd *cobra.Command, ref, image, dir string, po sandbox.ProjectOptions, o sandbox.ExportOptions) (*sandbox.Outgoing, error) {
	m, err := a.open()
	if err != nil {
		return nil, err
	}
	if image == "" {
		made, err := m.Made(ref)
		if err != nil {
			return nil, err
		}
		if made {
			image = ref
		}
	}
	var args []string
	if image != "" {
		args = []string{image}
	}
	return a.outgoing(cmd, args, dir, po, o)
}
