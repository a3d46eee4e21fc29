package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/sandbox"
)

func newGC(a *app) *cobra.Command {
	var older, most string
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove from the store what nothing uses",
		Long: `Keeps what a project, an image that was pulled by name, or a kept or running sandbox uses, and what was
used within --older-than. What is removed is fetched or made again where it is needed: environments from
their lock; the compressed layers of an image from its registry, or from its unpacked layers, and then their
digests may be others. -v names what is removed. [gc] of the user's configuration says what holds without
flags.` + "\n" + exitStatus,
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

					Items []store.Item `json:"items"`
					Over  int64        `json:"over"` // bytes beyond --max-size
				}{dry, f.Layers, f.Wheels, f.Blobs, f.Bytes, append([]store.Item{}, f.Items...), f.Over})
			}
			verb := "removed"
			if dry {
				verb = "would remove"
			}
			if a.verbose {
				for _, i := range f.Items {
					a.printf("%s %s %s: %s\n", verb, i.Kind, i.Name, bytesText(i.Bytes))
				}
			}
			a.printf("%s %s, %s, %s: %s\n", verb, counted(f.Layers, "layer"), counted(f.Wheels, "wheel"), counted(f.Blobs, "file"), bytesText(f.Bytes))
			if f.Over > 0 {
				a.notice(fmt.Sprintf("the store stays %s above %s: the rest is in use, or was used in the last %s (--older-than)", bytesText(f.Over), bytesText(o.MaxSize), daysText(o.OlderThan)))
			}
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

// counted is "1 layer" or "2 layers".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// daysText is a time in days, if it is so many of them.
func daysText(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return counted(int(d/day), "day")
	}
	return d.String()
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
