/* automat lm quantise: a model's weights in 8 or 4 bits. */
#include "app/lm.h"

#include <stdio.h>
#include <string.h>

int app_lm_quantise(const struct options *options)
{
    char dir[APP_LM_PATH_BYTES];
    struct lm_fault fault = {0};
    enum lm_dtype dtype = LM_INT8;
    if (options->lm.dtype != NULL && !lm_dtype_parse(str_from(options->lm.dtype), &dtype)) {
        app_complain("--dtype (AUTOMAT_DTYPE): f32, bf16, int8 or int4, not \"%.40s\"",
                     options->lm.dtype);
        return 2;
    }
    if (options->out == NULL) {
        app_complain("--out (AUTOMAT_OUT): a folder is needed");
        return 2;
    }
    if (app_lm_model_dir(options, dir, sizeof(dir)) == NULL)
        return 1;
    if (strcmp(dir, options->out) == 0) {
        app_complain("--out (AUTOMAT_OUT): another folder than the model's own is needed");
        return 2;
    }
    enum err err = lm_model_quantise(dir, options->out, dtype, &fault);
    if (err != ERR_OK)
        return app_lm_failed(dir, err, &fault);
    (void)printf("wrote %s as %s\n", options->out, lm_dtype_name(dtype));
    return 0;
}
