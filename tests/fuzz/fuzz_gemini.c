/* The Gemini translation; behind a byte 255 that of embeddings, behind 254 that of images. */
#include "hale/hale.h"

#include "fuzz_xlate.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] == 255)
		fuzz_xlate(&provider_gemini_op[MODE_EMBEDDING], "text-embedding-004", data + 1, size - 1);
	else if (size && data[0] == 254)
		fuzz_xlate(&provider_gemini_op[MODE_IMAGE_GENERATION], "imagen-4.0", data + 1, size - 1);
	else
		fuzz_xlate(&provider_gemini_op[MODE_CHAT], "gemini-3-pro", data, size);
	return 0;
}
