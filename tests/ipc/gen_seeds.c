/* Writes one seed a row and fullness into a directory: the corpus of fuzz_codec. */
#include "tests/ipc/sample.h"

#include <stdio.h>

int
main(int argc, char **argv)
{
	static uint8_t packet[LIMIT_PACKET];
	size_t n;
	const struct ipc_row *rows = ipc_rows(&n);

	for (size_t i = 0; argc == 2 && i < n; i++) {
		for (int how = SAMPLE_EMPTY; how <= SAMPLE_SOME; how++) {
			char path[4096];
			struct ipc_msg m;
			sample_fill(&rows[i], how, &m);
			ssize_t len = ipc_encode(&m, packet, sizeof(packet));
			snprintf(
			    path, sizeof(path), "%s/%s-%d", argv[1], rows[i].name, how);
			FILE *f = fopen(path, "wb");
			if (!f || len < 0 ||
			    fwrite(packet, 1, (size_t)len, f) != (size_t)len ||
			    fclose(f) != 0)
				return 1;
		}
	}
	return argc != 2;
}
