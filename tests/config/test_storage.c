#include "tests/config/collect.h"

#define S "[storage]\n"
#define O "[storage.options]\n"
#define V "[storage.options.overlay]\n"

static const struct said files[] = {
    {"", "", false},
    {S "driver = \"overlay\"\ngraphroot = \"/g\"\nrunroot = \"/r\"\n",
	"graphroot=/g\nrunroot=/r\n", false},
    {S "driver = \"overlay2\"", "", false},
    {S "driver = \"\"\ngraphroot = \"\"\nrunroot = \"\"\n", "", false},
    {S "driver = \"overlay\"\nrootless_storage_path = \"$HOME/x\"\n" O
       "additionalimagestores = [\n]\nsize = \"\"\nauto-userns-min-size = 1024\n"
       "root-auto-userns-user = \"storage\"\npull_options = {enable_partial_images = "
       "\"true\", "
       "use_hard_links = \"false\", ostree_repos=\"\"}\n" V
       "mountopt = \"nodev,metacopy=on\"\nmount_program = \"\"\nignore_chown_errors = "
       "\"false\"\n"
       "skip_mount_home = \"true\"\nforce_mask = \"\"\nsize = \"10G\"\n"
       "[storage.options.thinpool]\nfs = \"xfs\"\n",
	"", false},
    {S "transient_store = false\nimagestore = \"\"\n" V "use_composefs = \"false\"", "",
	false},
    {S "driver_priority = [\"overlay\", \"btrfs\"]", "", false},
    {"[other]\nx = 1\n", "", false},

    {S "driver = \"vfs\"", ":2: storage.driver = \"vfs\": only the overlay driver", true},
    {S "driver = \"Overlay\"", "only the overlay driver", true},
    {S "driver = 1", "not a string", true},
    {S "driver = [\"overlay\"]", "not a string", true},
    {S "driver_priority = [\"btrfs\", \"overlay\"]", "only the overlay driver", true},
    {S "imagestore = \"/i\"",
	"storage.imagestore: this version cannot work with images kept", true},
    {S "transient_store = true", "transient", true},
    {S "transient_store = \"true\"", "transient", true},
    {O "additionalimagestores = [\"/a\"]", "additional image stores", true},
    {O "additionallayerstores = [\"/a\"]", "additional layer stores", true},
    {O "remap-uids = \"0:1668442479:65536\"", "remapped ids", true},
    {O "remap-user = \"storage\"", "remapped ids", true},
    {O "mount_program = \"/usr/bin/fuse-overlayfs\"", "storage.options.mount_program",
	true},
    {V "mount_program = \"/usr/bin/fuse-overlayfs\"",
	"storage.options.overlay.mount_program", true},
    {V "force_mask = \"shared\"", "forced file modes", true},
    {V "ignore_chown_errors = \"true\"", "without their owners", true},
    {V "ignore_chown_errors = true", "without their owners", true},
    {O "ignore_chown_errors = \"1\"", "without their owners", true},
    {V "use_composefs = \"true\"", "composefs", true},
    {O "pull_options = {convert_images = \"true\"}", "conversion", true},
    {S "graphroot = \"relative\"", "not an absolute path", true},
    {S "graphroot = \"$HOME/x\"", "not an absolute path", true},
    {S "graphroot = \"/home/$USER/x\"", "variables are not expanded", true},
    {S "runroot = 1", "not a string", true},
    {S "runroot = [\"/a\"]", "not a string", true},
    {"[storage\n", "no TOML", true},
};

static void
test_files(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		check_said(CONFIG_STORAGE, &files[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
