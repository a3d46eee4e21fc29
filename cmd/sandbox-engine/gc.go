package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/sandbox"
)

func newGC(a *app) *cobra.Command {
	var older, most string
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove from the store what nothing uses",
		Long: `Keeps what a project, an image that was pulled by name, or a kept or running sandbox uses, and what was
used within --older-than. Everything that is removed can be made again from a lock. [gc] of the user's
configuration says what holds without flags.` + "\n" + exitStatus,
		Example: `  sandbox gc --dry-run
  sandbox gc --older-than 24h`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			o := m.GCRules()
			o.DryRun = dry
			if err := gcFlags(&o, older, most); err != nil {
				return usage(cmd, err)
			}
			f, err := m.GC(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				return a.json(struct {
					DryRun bool  `json:"dry_run"`
					Layers int   `json:"layers"`
					Wheels int   `json:"wheels"`
					Files  int   `json:"files"`
					Bytes  int64 `json:"bytes"`
				}{dry, f.Layers, f.Wheels, f.Blobs, f.Bytes})
			}
			verb := "removed"
			if dry {
				verb = "would remove"
			}
			a.printf("%s %d layers, %d wheels, %d files: %s\n", verb, f.Layers, f.Wheels, f.Blobs, bytesText(f.Bytes))
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&dry, "dry-run", false, "only say what would be removed")
	f.StringVar(&older, "older-than", "", "keep what was used since then: 24h, 7d, which is the default; 0s is nothing")
	f.StringVar(&most, "max-size", "", "stop when the store is below this size, oldest first: 20GiB")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// gcFlags lays the flags over what the configuration says.
func gcFlags(o *sandbox.GCOptions, older, most string) error {
	if older != "" {
		d, err := time.ParseDuration(older)
		if err != nil {
			d, err = envfile.ParseDuration(older) // days
		}
		if err != nil || d < 0 {
			return fmt.Errorf("--older-than takes a duration like 24h or 7d, not %q", older)
		}
		o.OlderThan = d
	}
	if most != "" {
		n, err := envfile.ParseSize(most)
		if err != nil {
			return fmt.Errorf("--max-size %w: %q", err, most)
		}
		o.MaxSize = int64(n)
	}
	return nil
}
