package main

import (
	"os"

	"github.com/spf13/cobra"
)

func newVersion(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Prints the version of the tool and of Go." + "\n" + exitStatus,
		Example: "  sandbox version\n  sandbox version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			exe, _ := os.Executable()
			if asJSON {
				return a.json(struct {
					Version string `json:"version"`
					Go      string `json:"go"`
					Path    string `json:"path"`
				}{version, goVersion(), exe})
			}
			a.printf("sandbox %s (%s) %s\n", version, goVersion(), exe)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}
